/** What all commands share: the context they run in, options that mean the same everywhere, help with examples. */
import { type Command, InvalidArgumentError } from 'commander'
import { InosError } from '../src/packet/errors.ts'
import type { Output } from './output.ts'

export interface Context {
  readonly output: Output
  /** Aborted by the first interrupt. */
  readonly signal: AbortSignal
  /** What stood behind `--` on the command line. */
  readonly guestArgs: readonly string[]
  /** Tell the exit code. */
  finish (exitCode: number): void
}

/** Options that most commands take. */
export interface CommonOptions { data?: string, json?: true }

export function addData (command: Command): Command {
  return command.option('--data <dir>', 'data directory (default: $INOS_HOME, else that of the user)')
}

export function addJson (command: Command, what = 'print JSON'): Command {
  return command.option('--json', what)
}

/** For options that may be given several times. */
export const collect = (value: string, before: readonly string[]): string[] => [...before, value]

export function addPeers (command: Command): Command {
  return command.option('--peer <multiaddr>', 'connect to this node; may be given several times', collect, [])
}

export function addListen (command: Command): Command {
  return command.option('--listen <multiaddr>', 'accept connections here; may be given several times (default: loopback, any port)', collect, [])
}

/** A parser of ours as commander's: what it refuses is told with the option's name. */
export function read<T> (parse: (text: string) => T): (text: string) => T {
  return text => {
    try {
      return parse(text)
    } catch (error) {
      throw error instanceof InosError ? new InvalidArgumentError(error.message) : error
    }
  }
}

/** Examples under a command's help: command line, what it does. */
export function examples (command: Command, lines: readonly (readonly [string, string])[]): Command {
  return command.addHelpText('after', `\nExamples:\n${lines.map(([line, what]) => `  # ${what}\n  ${line}\n`).join('')}`)
}
