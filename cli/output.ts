/**
 * The two streams of a command. stdout carries what was asked for and nothing else; all talk goes
 * to stderr. Text that came from outside is shown with its control characters made visible.
 */
import { Buffer } from 'node:buffer'
import type { Writable } from 'node:stream'
import { createColors } from 'picocolors'
import { InosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'

const NEWLINE = 0x0a

export type Stream = Writable & { readonly isTTY?: boolean | undefined }
export type Colors = ReturnType<typeof createColors>

export interface Output {
  /** Whoever read stdout has gone; writing more is of no use. */
  readonly closed: boolean
  /** Colours for stdout, plain where it is no terminal or NO_COLOR is set. */
  readonly colors: Colors
  /** To stdout; resolves when it was taken, also by a reader that has gone. */
  write (data: Uint8Array | string): Promise<void>
  /** One JSON object and a line end to stdout. */
  json (value: unknown): Promise<void>
  /** One line to stderr. */
  say (line: string): void
  /** What a guest wrote to stderr. */
  pass (bytes: Uint8Array): void
  /** What is being waited for; null when the wait is over. */
  status (text: string | null): void
  fail (error: InosError): void
}

export interface OutputOptions { stdout: Stream, stderr: Stream, noColor: boolean }

/** Bigints as decimal text, bytes as base64. */
export function toJson (value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, converted: unknown) {
    // A Buffer has a toJSON of its own, which has run by now; what it was is still in its place.
    const field = this[key]
    if (field instanceof Uint8Array) return Buffer.from(field.buffer, field.byteOffset, field.length).toString('base64')
    return typeof field === 'bigint' ? field.toString() : converted
  })
}

/** Make control characters visible, so that no peer or guest steers the terminal. */
export function plain (text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, character =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Rows of as many cells each, columns padded. */
export function table (rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row => `${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd()}\n`).join('')
}

export function createOutput ({ stdout, stderr, noColor }: OutputOptions): Output {
  let closed = false
  // A reader that leaves (`inos … | head -1`) is no failure of the command.
  stdout.on('error', () => { closed = true })
  stderr.on('error', () => {})
  const status = createStatus(stderr)
  const color = createColors(stderr.isTTY === true && !noColor)

  const write = async (data: Uint8Array | string): Promise<void> => {
    if (closed) return
    const written = Promise.withResolvers<void>()
    stdout.write(data, error => {
      if (error instanceof Error && !('code' in error && error.code === 'EPIPE')) {
        written.reject(new InosError('ERR_INTERNAL', `The output could not be written: ${error.message}.`, { cause: error }))
      } else written.resolve()
    })
    await written.promise
  }
  const say = (line: string): void => {
    status.clear()
    stderr.write(`${plain(line)}\n`)
  }
  return {
    get closed () { return closed },
    colors: createColors(stdout.isTTY === true && !noColor),
    write,
    json: value => write(`${toJson(value)}\n`),
    say,
    pass: bytes => {
      status.clear()
      if (bytes.length === 0) return
      stderr.write(stderr.isTTY === true ? plain(new TextDecoder().decode(bytes)) : bytes)
      // What the command itself says next begins on a line of its own.
      if (bytes.at(-1) !== NEWLINE) stderr.write('\n')
    },
    status: text => status.show(text),
    fail: ({ code, message, hint, attempts }) => {
      status.clear()
      stderr.write(`${color.red('error')}: ${plain(message)} (${code})\n`)
      for (const { peer, code, message } of attempts) stderr.write(`  tried ${plain(peer)}: ${plain(message)} (${code})\n`)
      if (hint !== undefined) stderr.write(`${color.dim('hint')}: ${plain(hint)}\n`)
    }
  }
}

interface Status { show (text: string | null): void, clear (): void }

/** On a terminal one line that changes in place; elsewhere a line per ten seconds, while a wait lasts. */
function createStatus (stderr: Stream): Status {
  let text: string | null = null
  let shown = false
  let timer: NodeJS.Timeout | undefined
  const tty = stderr.isTTY === true

  const clear = (): void => {
    if (shown) stderr.write('\r\u001b[K')
    shown = false
  }
  const draw = (): void => {
    if (text === null) return
    if (tty) clear()
    stderr.write(tty ? plain(text).replaceAll('\n', ' ') : `${plain(text)}\n`)
    shown = tty
  }
  return {
    show: next => {
      text = next
      if (next === null) {
        clearInterval(timer)
        timer = undefined
        clear()
      } else {
        // Short waits stay silent: a terminal redraws each second, others hear of it every ten.
        timer ??= setInterval(draw, tty ? LIMITS.control.noticeMs : LIMITS.control.statusMs).unref()
        if (shown) draw()
      }
    },
    clear
  }
}
