/**
 * The log of a map, one line per item as it is done: what it was, how it ended, what it cost. A map that is begun again with
 * the same log leaves out the items that stand there as done with exit code 0, if their inputs are the same.
 */
import { createHash } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { InosError } from '../src/packet/errors.ts'
import { reasonOf } from './files.ts'

const COLUMNS = ['seq', 'input', 'at', 'exit', 'outcome', 'cost_ucr', 'fuel', 'executor', 'receipt'] as const
const HEADER = COLUMNS.join('\t')

/** One line. `seq` counts from 1; `input` is the first 16 hex digits of its sha2-256; what a failed item has not is empty. */
export type Entry = { readonly [Column in typeof COLUMNS[number]]: string }

export interface Joblog extends AsyncDisposable {
  /** Items that are done, by number, and their inputs. */
  readonly done: ReadonlyMap<number, string>
  write (entry: Entry): Promise<void>
}

export function hashInput (input: Uint8Array): string { return createHash('sha256').update(input).digest('hex').slice(0, 16) }

/**
 * @param resume continue the log that is there; else it is begun anew
 * @throws {InosError} ERR_USAGE when it cannot be read or written, or is no log of a map
 */
export async function openJoblog (file: string, resume: boolean): Promise<Joblog> {
  const text = resume ? await readFile(file, 'utf8').catch((cause: unknown) => { throw new InosError('ERR_USAGE', `${file} cannot be read: ${reasonOf(cause)}.`, { cause }) }) : ''
  const done = readDone(file, text)
  const handle = await open(file, resume ? 'a' : 'w').catch((cause: unknown) => { throw new InosError('ERR_USAGE', `${file} cannot be written: ${reasonOf(cause)}.`, { cause }) })
  if (text === '') await handle.write(`${HEADER}\n`)
  // A crash may have cut the last line off.
  else if (!text.endsWith('\n')) await handle.write('\n')
  return {
    done,
    write: async entry => { await handle.write(`${COLUMNS.map(column => entry[column]).join('\t')}\n`) },
    [Symbol.asyncDispose]: () => handle.close()
  }
}

function readDone (file: string, text: string): Map<number, string> {
  const [header, ...lines] = text.split('\n')
  if (text !== '' && header !== HEADER) throw new InosError('ERR_USAGE', `${file} is not the log of a map.`, { hint: 'Name the file that --joblog wrote.' })
  const done = new Map<number, string>()
  for (const line of lines) {
    const cells = line.split('\t')
    const [seq, input, , exit] = cells
    if (cells.length === COLUMNS.length && exit === '0') done.set(Number(seq), input!)
  }
  return done
}
