/**
 * A small router of UPnP's Internet Gateway Device (version 1), as homes have: it answers searches (SSDP), describes itself, and forwards ports by
 * nftables when it is told to (SOAP). It plays good and bad ones; what it was asked for goes to stdout, a JSON line each.
 *
 *     node gateway.ts HOST GROUP PORT MODE    own address, where searches come in, and open | refuse | garbage | silent
 */
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'

export type Mode = 'open' | 'refuse' | 'garbage' | 'silent' | 'dry'

const SERVICE = 'urn:schemas-upnp-org:service:WANIPConnection:1'
const DEVICE = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1'

/** A router at `host` that hears searches at `group`; `dry` forwards nothing but says so. @returns where searches come in, and how to end it */
export async function playGateway (host: string, group: string, port: number, mode: Mode, say: (action: string, args: Record<string, string>) => void): Promise<{ readonly port: number, stop (): Promise<void> }> {
  const server = createServer((request, response) => {
    const answer = (status: number, text: string): void => { response.writeHead(status, { 'content-type': 'text/xml' }).end(text) }
    if (mode === 'silent') return
    if (request.method === 'GET') {
      answer(200, mode === 'garbage' ? '<root>'.repeat(50_000) : `<root><device><deviceType>${DEVICE}</deviceType><serviceList><service><serviceType>${SERVICE}</serviceType><controlURL>/control</controlURL></service></serviceList></device></root>`)
      return
    }
    let body = ''
    request.on('data', part => { body += String(part) }).on('end', () => {
      const [, action = ''] = /<u:(\w+)/.exec(body) ?? []
      const args = Object.fromEntries(Array.from(body.matchAll(/<(New\w+)>([^<]*)</g), ([, name, value]) => [name!, value!]))
      say(action, args)
      const fault = mode === 'refuse' ? '<errorCode>606</errorCode><errorDescription>Action not authorized</errorDescription>' : null
      if (fault === null && mode === 'open') forward(action, args)
      answer(fault === null ? 200 : 500, `<s:Envelope><s:Body>${fault ?? `<u:${action}Response xmlns:u="${SERVICE}"/>`}</s:Body></s:Envelope>`)
    })
  }).listen(0, host)
  await once(server, 'listening')
  const location = `http://${host}:${(server.address() as { port: number }).port}/root.xml`
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.on('message', (message, from) => {
    const [, target] = /^st:\s*(\S+)/im.exec(String(message)) ?? []
    if (target === DEVICE) socket.send(`HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: ${DEVICE}\r\nUSN: uuid:1::${DEVICE}\r\nLOCATION: ${location}\r\n\r\n`, from.port, from.address)
  })
  socket.bind(port, group === host ? host : '0.0.0.0')
  await once(socket, 'listening')
  if (group !== host) socket.addMembership(group, host)
  return {
    port: socket.address().port,
    async stop () {
      socket.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

/** The port leads to who asked, or nowhere again. */
function forward (action: string, { NewExternalPort: port, NewInternalClient: client, NewInternalPort: inner }: Record<string, string>): void {
  const rules = action === 'AddPortMapping'
    ? `table ip upnp { chain in { type nat hook prerouting priority -100; iifname "wan" tcp dport ${Number(port)} dnat to ${client}:${Number(inner)}; }; }; insert rule ip home through ct status dnat accept`
    : 'delete table ip upnp'
  spawnSync('nft', [rules.replace('table ip upnp {', 'table ip upnp; delete table ip upnp; table ip upnp {')])
}

if (import.meta.main) {
  const [host = '', group = '', port = '', mode = ''] = process.argv.slice(2)
  await playGateway(host, group, Number(port), mode as Mode, (action, args) => { console.log(JSON.stringify({ action, args })) })
  console.log(JSON.stringify({ action: 'up' }))
  process.stdin.resume().on('end', () => process.exit())
}
