/** `inos blob`: bytes of any size by name, in the store of the node and in the mesh. */
import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { CID, isOurs } from '../src/packet/cid.ts'
import { InosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'
import type { Operator } from '../src/node/operator.ts'
import type { BlobProgress, BlobView } from '../src/processor/processor.ts'
import { addData, addJson, addPeers, type CommonOptions, type Context, examples } from './command.ts'
import { table } from './output.ts'
import { formatBytes } from './units.ts'

interface BlobOptions extends CommonOptions { peer: string[], output?: string, pin?: boolean, share?: boolean }

export function addBlob (program: Command, context: Context): void {
  const blob = program.command('blob').description('bytes of any size by name: put, fetch, pin and collect them')
  const add = (name: string, what: string, argument: string | null, lines: readonly (readonly [string, string])[], work: (options: BlobOptions, context: Context, argument: string) => Promise<number>): Command => {
    const command = addJson(addData(addPeers(blob.command(name).description(what))))
    if (argument !== null) command.argument(argument)
    command.action(async (...args: unknown[]) => {
      const options = (args.at(-1) as Command).optsWithGlobals<BlobOptions>()
      context.finish(await work(options, context, argument === null ? '' : args[0] as string))
    })
    return examples(command, lines)
  }
  add('put', 'store a file, - for stdin, and print its name', '<file>', [['inos blob put data.csv', 'pinned, and given to whoever names it']], put)
    .option('--no-pin', 'let it go when room is needed').option('--no-share', 'give it only to whom a job of this node names it')
  add('get', 'write a blob to stdout or a file, fetching what is not here', '<cid>', [['inos blob get bafy… -o data.csv', 'every part is checked before it is written']], get)
    .option('-o, --output <file>', 'write it to a file instead of stdout')
  add('ls', 'what is here, and what it takes', null, [['inos blob ls', 'sizes, pins, and how much of each is here']], list)
  add('pin', 'fetch a blob and let it stay', '<cid>', [['inos blob pin bafy…', 'until it is unpinned']], pin)
  add('unpin', 'let a blob go when room is needed', '<cid>', [['inos blob unpin bafy…', 'it goes with the least recently used']], unpin)
  add('rm', 'remove a blob at once', '<cid>', [['inos blob rm bafy…', 'pinned or not']], remove)
  add('gc', 'remove all that is not pinned or in use', null, [['inos blob gc', 'modules and results are fetched again when they are needed']], collect)
}

/** The name of a blob where a file could stand. @returns null for what is no CID of ours */
export function asBlob (text: string): { cid: string } | null {
  try {
    const cid = CID.parse(text)
    return isOurs(cid) ? { cid: cid.toString() } : null
  } catch {
    return null
  }
}

async function openNode ({ data, peer }: BlobOptions, context: Context): Promise<Operator> {
  const { connectPeers, openOperator } = await import('./open.ts')
  const operator = await openOperator({ data, join: { network: peer.length > 0, serve: false }, output: context.output, signal: context.signal })
  await connectPeers(operator, peer, context)
  return operator
}

/** One line of progress on a terminal. */
function progressOf ({ output }: Context, what: string): (progress: BlobProgress) => void {
  return ({ bytes, total }) => { output.status(`${what} ${formatBytes(bytes)}${total > bytes ? ` of ${formatBytes(total)}` : ''}`) }
}

async function put (options: BlobOptions, context: Context, file: string): Promise<number> {
  await using operator = await openNode(options, context)
  const { output, signal } = context
  const onProgress = progressOf(context, 'stored')
  const settings = { pin: options.pin ?? true, share: options.share ?? true, signal, onProgress }
  const cid = await withFile(file, signal, source => operator.blobs.put(source, settings)).finally(() => { output.status(null) })
  if (options.json === true) await output.json({ cid, pinned: settings.pin, shared: settings.share })
  else await output.write(`${cid}\n`)
  return 0
}

async function withFile<T> (file: string, signal: AbortSignal, work: (source: AsyncIterable<Uint8Array>) => Promise<T>): Promise<T> {
  if (file === '-') return await work(process.stdin)
  try {
    await using handle = await open(file)
    return await work(handle.createReadStream({ signal, autoClose: false, highWaterMark: LIMITS.blobs.chunkBytes }))
  } catch (error) {
    if (error instanceof InosError) throw error
    throw new InosError('ERR_USAGE', `${file} cannot be read: ${(error as Error).message}.`, { cause: error })
  }
}

async function get (options: BlobOptions, context: Context, cid: string): Promise<number> {
  await using operator = await openNode(options, context)
  const { output, signal } = context
  const source = operator.blobs.get(cid, { signal, onProgress: progressOf(context, 'fetched') })
  let bytes = 0
  const counted = async function * (): AsyncIterable<Uint8Array> {
    for await (const part of source) {
      bytes += part.length
      yield part
    }
  }
  if (options.output === undefined) for await (const part of counted()) await output.write(part)
  else {
    await using handle = await open(options.output, 'w')
    await pipeline(counted(), handle.createWriteStream({ autoClose: false }), { signal })
  }
  output.status(null)
  if (options.json === true && options.output !== undefined) await output.json({ cid, bytes, output: options.output })
  return 0
}

async function list (options: BlobOptions, context: Context): Promise<number> {
  await using operator = await openNode(options, context)
  const [blobs, { bytes, bytesMax }] = [await operator.blobs.ls(), await operator.blobs.usage()]
  const { output } = context
  if (options.json === true) for (const blob of blobs) await output.json(blob)
  else {
    if (blobs.length > 0) await output.write(table([['cid', 'size', 'here', 'pinned', 'shared'], ...blobs.map(row)]))
    output.say(`${formatBytes(bytes)} of ${formatBytes(bytesMax)} are taken.`)
  }
  return 0
}

function row ({ cid, size, here, pinned, shared }: BlobView): string[] {
  return [cid, formatBytes(size), here === size ? 'all' : formatBytes(here), pinned ? 'yes' : 'no', shared ? 'yes' : 'no']
}

async function pin (options: BlobOptions, context: Context, cid: string): Promise<number> {
  await using operator = await openNode(options, context)
  await operator.blobs.pin(cid, { signal: context.signal, onProgress: progressOf(context, 'fetched') }).finally(() => { context.output.status(null) })
  return await done(options, context, { cid, pinned: true }, `${cid} is here and stays.`)
}

async function unpin (options: BlobOptions, context: Context, cid: string): Promise<number> {
  await using operator = await openNode(options, context)
  await operator.blobs.unpin(cid)
  return await done(options, context, { cid, pinned: false }, `${cid} goes when room is needed.`)
}

async function remove (options: BlobOptions, context: Context, cid: string): Promise<number> {
  await using operator = await openNode(options, context)
  await operator.blobs.rm(cid)
  return await done(options, context, { removed: cid }, `${cid} is removed.`)
}

async function collect (options: BlobOptions, context: Context): Promise<number> {
  await using operator = await openNode(options, context)
  const { bytes } = await operator.blobs.gc()
  return await done(options, context, { bytes }, `${formatBytes(bytes)} are free again.`)
}

async function done ({ json }: BlobOptions, { output }: Context, value: object, text: string): Promise<number> {
  if (json === true) await output.json(value)
  else output.say(text)
  return 0
}
