/** `inos mesh`: a private mesh by one string: found it, invite, join, see who is in, put someone out. */
import type { Command } from 'commander'
import { formatCredits, parseCount, parseCredits, parseSeconds } from '../src/packet/amounts.ts'
import { InosError } from '../src/packet/errors.ts'
import { keyOfPeerId } from '../src/packet/identity.ts'
import { LIMITS } from '../src/packet/limits.ts'
import type { CharterOptions, MemberView, MeshView } from '../src/network/mesh-views.ts'
import { tabLink } from '../src/assembly/tab-link.ts'
import type { Operator } from '../src/node/operator.ts'
import { addData, addJson, collect, type CommonOptions, type Context, examples, read } from './command.ts'
import { plain, table } from './output.ts'

interface CreateOptions extends CommonOptions { name?: string, fee?: number, offlineLimit?: bigint }
interface InviteOptions extends CommonOptions { grant?: bigint, expires?: string, count?: number, route: string[], page?: string }

export function addMesh (program: Command, context: Context): void {
  const mesh = program.command('mesh').description('a private mesh: only its members reach each other')
  addJson(addData(mesh))
  examples(mesh, [
    ['inos mesh create --name lab && inos up --listen /ip4/0.0.0.0/tcp/4001', 'the first machine founds it, and stays up'],
    ['inos mesh invite --grant 100cr --count 3', 'there: one line of text for three others'],
    ['inos mesh join inos:…', 'on each of them; then `inos up`']
  ])
  mesh.action(async (options: CommonOptions) => { context.finish(await show(options, context)) })
  addCreate(mesh, context)
  addAmend(mesh, context)
  addInvite(mesh, context)
  addJoin(mesh, context)
  addMembers(mesh, context)
  addGrant(mesh, context)
  addRevoke(mesh, context)
}

function addCreate (mesh: Command, context: Context): void {
  const command = mesh.command('create').description('found a private mesh; this data directory is its issuer for good')
  addJson(addData(addCharter(command, ` (default: ${formatCredits(LIMITS.mesh.offlineMax)})`)))
  examples(command, [['inos mesh create --name lab --fee 1 --offline-limit 50cr', 'one percent for the issuer']])
  command.action(async (_options: CreateOptions, self: Command) => { context.finish(await create(self.optsWithGlobals(), context)) })
}

function addAmend (mesh: Command, context: Context): void {
  const command = mesh.command('amend').description('change the charter, as the issuer; members take the later one over as they meet')
  addJson(addData(addCharter(command, '')))
  examples(command, [['inos mesh amend --fee 0.5 --offline-limit 100cr', 'what is cleared from now on pays half a percent']])
  command.action(async (_options: CreateOptions, self: Command) => { context.finish(await amend(self.optsWithGlobals(), context)) })
}

/** What a charter says. */
function addCharter (command: Command, offlineDefault: string): Command {
  return command.option('--name <name>', 'how people call it')
    .option('--fee <percent>', 'what the issuer keeps of each payment, such as 1 or 0.25', read(parseFee))
    .option('--offline-limit <amount>', `what a member may owe one payee while the issuer is away${offlineDefault}`, read(parseCredits))
}

function charterOf ({ name, fee, offlineLimit }: CreateOptions): CharterOptions {
  return { ...(name === undefined ? {} : { name }), ...(fee === undefined ? {} : { feePpm: fee }), ...(offlineLimit === undefined ? {} : { offlineMax: offlineLimit }) }
}

function addInvite (mesh: Command, context: Context): void {
  const command = mesh.command('invite').description('print an invite: one line of text; who has it may join')
    .option('--grant <amount>', 'what each one invited gets to begin with (default: 0cr)', read(parseCredits))
    .option('--expires <time>', 'how long it is good, such as 7d or 12h (default: 7d)', read(checkSpan))
    .option('--count <n>', 'how many it may bring (default: 1)', read(text => Number(parseCount(text, BigInt(LIMITS.mesh.inviteCountMax)))))
    .option('--route <multiaddr>', 'where others reach this node, if it cannot know; may be given several times', collect, [])
  command.option('--page <url>', 'print a link by which a browser tab joins, to the page of `npm run build:tab` that somebody hosts there')
  addJson(addData(command))
  examples(command, [['inos mesh invite --grant 100cr --expires 7d --count 3', 'three may join within a week'], ['inos mesh invite --page https://example.org/inos/', 'a link for a browser tab']])
  command.action(async (_options: InviteOptions, self: Command) => { context.finish(await invite(self.optsWithGlobals(), context)) })
}

function addJoin (mesh: Command, context: Context): void {
  const command = mesh.command('join').description('become a member; the issuer must be up for it').argument('<invite>', 'the text that `inos mesh invite` printed')
  addJson(addData(command))
  examples(command, [['inos mesh join inos:…', 'from then on `inos up` here belongs to that mesh']])
  command.action(async (text: string, _options: CommonOptions, self: Command) => { context.finish(await join(text, self.optsWithGlobals(), context)) })
}

function addMembers (mesh: Command, context: Context): void {
  const command = mesh.command('members').description('members this node knows: the issuer all, others whom they met')
  addJson(addData(command), 'one JSON object a line')
  examples(command, [['inos mesh members', 'who is in, since when, with which grant']])
  command.action(async (_options: CommonOptions, self: Command) => { context.finish(await members(self.optsWithGlobals(), context)) })
}

function addGrant (mesh: Command, context: Context): void {
  const command = mesh.command('grant').description('give a member credit, as the issuer').argument('<peer>', 'PeerId, as `inos mesh members` prints it')
    .argument('<amount>', 'such as 10cr', read(parseCredits))
  addJson(addData(command))
  examples(command, [['inos mesh grant 12D3KooW… 10cr', 'it can spend it with every member']])
  command.action(async (peer: string, amount: bigint, _options: CommonOptions, self: Command) => { context.finish(await grant(peer, amount, self.optsWithGlobals(), context)) })
}

function addRevoke (mesh: Command, context: Context): void {
  const command = mesh.command('revoke').description('end a membership; connections of that node are closed').argument('<peer>', 'PeerId, as `inos mesh members` prints it')
  addJson(addData(command))
  examples(command, [['inos mesh revoke 12D3KooW…', 'members learn it from each other as they meet']])
  command.action(async (peer: string, _options: CommonOptions, self: Command) => { context.finish(await revoke(peer, self.optsWithGlobals(), context)) })
}

/** Percent with up to four decimals, as millionths. */
function parseFee (text: string): number {
  const match = /^(\d{1,3})(?:\.(\d{1,4}))?%?$/.exec(text)
  const ppm = match === null ? NaN : Number(match[1]) * 10_000 + Number((match[2] ?? '').padEnd(4, '0'))
  if (!(ppm <= LIMITS.mesh.feePpmMax)) throw new InosError('ERR_USAGE', `"${text.slice(0, 40)}" is not a share of a payment; write percent, 0 to 100, with up to four decimals.`)
  return ppm
}

function checkSpan (text: string): string {
  parseSeconds(text)
  return text
}

async function open ({ data }: CommonOptions, { output, signal }: Context): Promise<Operator> {
  const { ALONE, openOperator } = await import('./open.ts')
  return await openOperator({ data, join: ALONE, output, signal })
}

async function show (options: CommonOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const mesh = await operator.mesh()
  const { output } = context
  if (options.json === true) await output.json({ id: operator.id, mesh })
  else if (mesh === null) await output.write('this node belongs to the open mesh\n')
  else await output.write(describe(mesh, operator.id))
  return 0
}

async function create ({ data, json, ...options }: CreateOptions, { output }: Context): Promise<number> {
  const { refuseRunning } = await import('./open.ts')
  const { createMesh } = await import('../src/node/create-mesh.ts')
  const dataDir = await refuseRunning(data)
  const mesh = await createMesh({ dataDir, ...charterOf(options) })
  if (json === true) await output.json({ id: mesh.issuer, mesh })
  else await output.write(`${describe(mesh, mesh.issuer)}Next: \`inos up --listen /ip4/0.0.0.0/tcp/4001\` here, then \`inos mesh invite\`.\n`)
  return 0
}

async function amend (options: CreateOptions, context: Context): Promise<number> {
  const changes = charterOf(options)
  if (Object.keys(changes).length === 0) throw new InosError('ERR_USAGE', 'Nothing to change was named.', { hint: 'Name one of --name, --fee, --offline-limit.' })
  await using operator = await open(options, context)
  const mesh = await operator.amend(changes)
  const { output } = context
  if (options.json === true) await output.json({ id: operator.id, mesh })
  else await output.write(`${describe(mesh, operator.id)}This is version ${mesh.version} of the charter; members that are up learn it at once, others when they meet one that knows.\n`)
  return 0
}

async function invite (options: InviteOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const { grant, expires, count, route } = options
  const text = await operator.invite({
    ...(grant === undefined ? {} : { grant }), ...(expires === undefined ? {} : { expires }), ...(count === undefined ? {} : { count }), routes: route
  })
  const { output } = context
  const link = options.page === undefined ? null : tabLink(options.page, { invite: text })
  if (options.json === true) {
    await output.json({ invite: text, ...(link === null ? {} : { link }) })
  } else {
    await output.write(`${link ?? text}\n`)
    output.say(link === null ? 'Whoever has this line may join: `inos mesh join INVITE`, while this node is up.' : 'Whoever opens this link may join with a browser tab, while this node is up and listens for browsers.')
  }
  return 0
}

async function join (text: string, { data, json }: CommonOptions, { output, signal }: Context): Promise<number> {
  const { openOwner, refuseRunning } = await import('./open.ts')
  await refuseRunning(data)
  output.status('asking the issuer to let this node in')
  const { node } = await openOwner({ data, join: { mesh: text, serve: false }, output, signal }).finally(() => output.status(null))
  await using _node = node
  const mesh = node.mesh()!
  const grant = node.members().find(({ self }) => self)?.grant ?? 0n
  if (json === true) await output.json({ id: node.id, mesh, grant })
  else await output.write(`${describe(mesh, node.id)}grant    ${formatCredits(grant)}\nNext: \`inos up\` here serves the members, and finds them.\n`)
  return 0
}

async function members (options: CommonOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const all = await operator.members()
  const { output } = context
  if (options.json === true) for (const member of all) await output.json(member)
  else await output.write(table([['member', 'role', 'since', 'grant', 'account'], ...all.map(row)]))
  return 0
}

function row ({ id, issuer, self, issued, grant, revoked, account }: MemberView): string[] {
  const role = revoked ? 'revoked' : issuer ? 'issuer' : 'member'
  return [id, self ? `${role}, this node` : role, issued === null ? '-' : new Date(issued * 1_000).toISOString().slice(0, 10), formatCredits(grant), account === null ? '-' : formatCredits(account)]
}

async function grant (peer: string, amount: bigint, options: CommonOptions, context: Context): Promise<number> {
  keyOfPeerId(peer)
  await using operator = await open(options, context)
  await operator.grant(peer, amount)
  const { output } = context
  if (options.json === true) await output.json({ peer, granted: amount })
  else output.say(`${peer} has ${formatCredits(amount)} more; it learns so when it meets this node.`)
  return 0
}

async function revoke (peer: string, options: CommonOptions, context: Context): Promise<number> {
  keyOfPeerId(peer)
  await using operator = await open(options, context)
  await operator.revoke(peer)
  const { output } = context
  if (options.json === true) await output.json({ revoked: peer })
  else output.say(`${peer} is not a member any more; nodes that are up learn it at once, others when they meet one that knows.`)
  return 0
}

function describe ({ net, name, issuer, feePpm, offlineMax }: MeshView, id: string): string {
  return table([
    ['mesh', name === '' ? '(no name)' : plain(name)],
    ['net', net],
    ['issuer', issuer === id ? `${issuer}, this node` : issuer],
    ['fee', `${feePpm / 10_000} %`],
    ['offline', `${formatCredits(offlineMax)} to each payee while the issuer is away`]
  ])
}
