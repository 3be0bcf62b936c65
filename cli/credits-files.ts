/** `inos credits frauds`, `export` and `import`: proofs against peers, and the books as one file. */
import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Operator } from '../src/node/operator.ts'
import { InosError } from '../src/packet/errors.ts'
import type { FraudView } from '../src/processor/processor.ts'
import { addData, addJson, type CommonOptions, type Context, examples } from './command.ts'
import { plain } from './output.ts'

type Open = (options: CommonOptions, context: Context) => Promise<Operator>

export function addFrauds (credits: Command, context: Context, open: Open): void {
  const frauds = credits.command('frauds').description('proofs that a peer signed what no honest one signs; none of them has a line or gets a job')
  examples(frauds, [
    ['inos credits frauds ls', 'peers that were caught, and at what'],
    ['inos credits frauds export ID -o proof.fraud', 'a file that others can check'],
    ['inos credits frauds verify proof.fraud', 'check one, offline']
  ])
  const ls = frauds.command('ls').description('list the proofs this node keeps')
  addJson(addData(ls), 'one JSON object a line')
  ls.action(async (_options: CommonOptions, command: Command) => { context.finish(await list(command.optsWithGlobals(), context, open)) })

  const show = frauds.command('show').description('print both records of a proof, as JSON').argument('<proof>', 'the id of a proof of this node')
  addData(show)
  show.action(async (id: string, _options: CommonOptions, command: Command) => {
    const { openFraud } = await import('../src/credits/frauds.ts')
    const { verify } = await import('../src/node/keys.ts')
    const { bytes, ...view } = await find(id, command.optsWithGlobals(), context, open)
    const fraud = openFraud(bytes, verify)
    await context.output.json({ ...view, first: readable(fraud.first.payload), second: readable(fraud.second.payload) })
  })

  const out = frauds.command('export').description('write a proof to a file').argument('<proof>', 'the id of a proof of this node')
    .requiredOption('-o, --output <file>', 'where to')
  addData(out)
  out.action(async (id: string, { output }: { output: string }, command: Command) => {
    await writeFile(output, (await find(id, command.optsWithGlobals(), context, open)).bytes)
  })

  const verifying = frauds.command('verify').description('check a proof, offline; exit code 106 when it proves nothing').argument('<file>', 'a proof')
  addJson(verifying)
  verifying.action(async (file: string, _options: CommonOptions, command: Command) => { context.finish(await check(file, command.optsWithGlobals(), context)) })
}

/** Links as text, keys as base64: what JSON has no word for. */
function readable (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(readable)
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  if ('multihash' in value) return String(value)
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, readable(field)]))
}

/** What a convict did. */
const DEEDS: Readonly<Record<FraudView['kind'], string>> = {
  cheque: 'signed two cheques with one number',
  receipt: 'signed two receipts for one job',
  head: 'signed that it holds fewer cheques than it had said',
  hidden: 'signed that it does not hold a cheque that it held'
}

/** Exit code when a file does not prove what it says to whoever checks it: verification. */
const UNPROVEN = 106

async function list (options: CommonOptions, context: Context, open: Open): Promise<number> {
  await using operator = await open(options, context)
  let count = 0
  for await (const { id, peer, kind, witness, first, second } of operator.frauds()) {
    count++
    if (options.json === true) await context.output.json({ id, peer, kind, witness, first, second })
    else await context.output.write(`${plain(id)}  ${plain(peer)}  ${DEEDS[kind]}\n`)
  }
  if (count === 0 && options.json !== true) context.output.say('No peer was caught at fraud.')
  return 0
}

async function find (id: string, options: CommonOptions, context: Context, open: Open): Promise<FraudView> {
  await using operator = await open(options, context)
  for await (const fraud of operator.frauds()) if (fraud.id === id) return fraud
  throw new InosError('ERR_USAGE', `This node has no proof ${id.slice(0, 80)}.`, { hint: '`inos credits frauds ls` lists those it has.' })
}

async function check (file: string, options: CommonOptions, { output, signal }: Context): Promise<number> {
  const { openFraud } = await import('../src/credits/frauds.ts')
  const { verify } = await import('../src/node/keys.ts')
  const { readFraudFile } = await import('./files.ts')
  const { id, peer, kind, witness, first, second } = openFraud(await readFraudFile(file, signal), verify)
  // What depends on which record came first is proven only to whom they were signed for.
  const ok = witness === null
  const facts = { ok, id: id.toString(), peer, kind, witness, first: first.id.toString(), second: second.id.toString() }
  if (options.json === true) await output.json(facts)
  else if (ok) await output.write(`${plain(file)}: valid: ${peer} ${DEEDS[kind]}\n`)
  else await output.write(`${plain(file)}: rightly signed, but proof only to ${witness}, who knows what it was told first: ${peer} ${DEEDS[kind]}\n`)
  return ok ? 0 : UNPROVEN
}

interface FileOptions extends CommonOptions { identity?: true }

export function addCopies (credits: Command, context: Context, open: Open): void {
  const out = credits.command('export').description('write the books to one file').argument('<file>', 'a new file')
    .option('--identity', 'with the secret key of this node: whoever has the file is this node')
  addJson(addData(out))
  examples(out, [['inos credits export books.inos', 'a copy of the books, also while the node runs']])
  out.action(async (file: string, _options: FileOptions, command: Command) => { context.finish(await write(file, command.optsWithGlobals(), context, open)) })

  const into = credits.command('import').description('put the books of a file in place of those here; no node may be running').argument('<file>', 'written by `inos credits export`')
  addJson(addData(into))
  examples(into, [['inos credits import books.inos --data ./new', 'refused where the books there are newer']])
  into.action(async (file: string, _options: CommonOptions, command: Command) => { context.finish(await readIn(file, command.optsWithGlobals(), context)) })
}

async function write (file: string, options: FileOptions, context: Context, open: Open): Promise<number> {
  const { writeLedger } = await import('../src/node/ledger-file.ts')
  const { readIdentity } = await import('../src/node/data-dir.ts')
  await using operator = await open(options, context)
  const identity = options.identity === true ? await readIdentity(options.data) : null
  const at = Math.floor(Date.now() / 1000)
  const rows = await writeLedger(file, { at, id: operator.id, identity }, operator.dump())
  if (options.json === true) await context.output.json({ file, id: operator.id, at, rows, identity: identity !== null })
  else context.output.say(`${rows} rows of ${operator.id}${identity === null ? '' : ', with its secret key,'} are in ${file}`)
  return 0
}

async function readIn (file: string, options: CommonOptions, { output }: Context): Promise<number> {
  const { checkLedger, importLedger } = await import('../src/node/ledger-file.ts')
  const { openDataDirectory } = await import('../src/node/data-dir.ts')
  const { createSigner } = await import('../src/node/keys.ts')
  const header = await checkLedger(file)
  if (header.identity !== null && createSigner(header.identity).id !== header.id) throw new InosError('ERR_VERIFICATION', `The key in ${file} is not that of ${header.id}.`)
  await using dir = await openDataDirectory(options.data, header.identity ?? undefined)
  const { id } = createSigner(dir.seed)
  if (id !== header.id) {
    throw new InosError('ERR_DATA_DIR', `The books are of ${header.id}, this data directory is ${id}.`, { hint: 'Bring its identity.key here first, or export with --identity and import into an empty directory.' })
  }
  const rows = await importLedger(file, dir.db)
  if (options.json === true) await output.json({ file, id, at: header.at, rows })
  else {
    output.say(`${rows} rows of ${id} as of ${new Date(header.at * 1000).toISOString()} are in place`)
    output.say('What was signed since is not in them: before it signs another cheque, each peer must be asked for the highest one it holds. Never run two copies of one node.')
  }
  return 0
}
