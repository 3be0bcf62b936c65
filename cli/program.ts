/**
 * Builds the command line and runs one command: arguments, interrupts, errors and exit codes are
 * decided here, what a command does in its own file. Only the family that is called is loaded.
 */
import { Command, CommanderError } from 'commander'
import { InosError, toInosError } from '../src/packet/errors.ts'
import { type Context, examples } from './command.ts'
import { createOutput, type Output } from './output.ts'
import { packageVersion } from './version.ts'

type Family = (program: Command, context: Context) => void

/** In the order of the help. */
const FAMILIES: Readonly<Record<string, () => Promise<Family>>> = {
  run: async () => (await import('./run.ts')).addRun,
  blob: async () => (await import('./blob.ts')).addBlob,
  map: async () => (await import('./map.ts')).addMap,
  actor: async () => (await import('./actor.ts')).addActor,
  up: async () => (await import('./up.ts')).addUp,
  demo: async () => (await import('./demo.ts')).addDemo,
  credits: async () => (await import('./credits.ts')).addCredits,
  receipts: async () => (await import('./receipts.ts')).addReceipts,
  mesh: async () => (await import('./mesh.ts')).addMesh,
  jobs: async () => (await import('./jobs.ts')).addJobs,
  price: async () => (await import('./price.ts')).addPrice,
  peers: async () => (await import('./peers.ts')).addPeers,
  module: async () => (await import('./module.ts')).addModule,
  doctor: async () => (await import('./doctor.ts')).addDoctor,
  id: async () => (await import('./id.ts')).addId
}

/** Run one command line and end the process with its exit code. */
export async function main (argv: readonly string[]): Promise<void> {
  const { stdout, stderr, env } = process
  const output = createOutput({ stdout, stderr, noColor: (env['NO_COLOR'] ?? '') !== '' })
  // A command may wait for nothing but a signal, which alone does not keep a process alive.
  const alive = setInterval(() => {}, ALIVE_MS)
  const exitCode = await execute(argv, output, watchInterrupts(output))
  clearInterval(alive)
  output.status(null)
  // What waits in the pipes is written first; nothing else may keep the process alive.
  await Promise.all([stdout, stderr].map(stream => new Promise<void>(resolve => {
    stream.write('', () => resolve())
  })))
  process.exit(exitCode)
}

/** The first interrupt cancels and settles, a second one quits at once. */
function watchInterrupts (output: Output): AbortSignal {
  const controller = new AbortController()
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED)
    output.say('interrupted; settling what is open, a second interrupt quits at once')
    controller.abort(new InosError('ERR_CANCELLED', 'The command was interrupted.'))
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, interrupt)
  return controller.signal
}

const INTERRUPTED = 130
const ALIVE_MS = 60_000

async function execute (argv: readonly string[], output: Output, signal: AbortSignal): Promise<number> {
  // commander would take what follows `--` for more arguments of the command itself.
  const end = argv.indexOf('--')
  const own = end === -1 ? argv : argv.slice(0, end)
  let exitCode = 0
  const context = { output, signal, guestArgs: end === -1 ? [] : argv.slice(end + 1), finish: (code: number) => { exitCode = code } }
  try {
    const program = await buildProgram(own, context)
    if (end !== -1 && own[0] !== 'run' && own[0] !== 'map') throw new InosError('ERR_USAGE', 'Only `inos run` and `inos map` take arguments behind `--`.')
    await program.parseAsync(own, { from: 'user' })
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0
    const error = thrown instanceof CommanderError ? usageError(thrown, own) : toInosError(thrown)
    if (own.includes('--json')) await output.json({ code: error.code, message: error.message, hint: error.hint ?? null, exitCode: error.exitCode })
    output.fail(error)
    return error.exitCode
  }
  return exitCode
}

async function buildProgram (argv: readonly string[], context: Context): Promise<Command> {
  const program = new Command('inos')
    .description('Turns any set of machines into one computer: WASM in, result and signed receipt out, credits by signed cheques.')
    .version(packageVersion(), '-V, --version')
    .exitOverride()
    // What commander says about wrong arguments is told as every other error is.
    .configureOutput({ outputError: () => {} })
  examples(program, [
    ['echo 1 2 3 | inos run sum.wasm', 'run a module here'],
    ['inos map sum.wasm numbers.txt', 'run it once per line, wherever there is room'],
    ['inos up --listen /ip4/0.0.0.0/tcp/4001', 'serve others, earn credits'],
    ['inos run big.wasm --where remote --peer /ip4/10.0.0.7/tcp/4001', 'run it there, pay with credits'],
    ['inos demo', 'three nodes at work']
  ])
  const called = FAMILIES[Object.hasOwn(FAMILIES, argv[0] ?? '') ? argv[0]! : '']
  for (const load of called === undefined ? Object.values(FAMILIES) : [called]) (await load())(program, context)
  return program
}

/** Exit code 64 for whatever is wrong with the words of a command line. */
function usageError ({ code, message }: CommanderError, argv: readonly string[]): InosError {
  const command = Object.hasOwn(FAMILIES, argv[0] ?? '') ? ` ${argv[0]}` : ''
  const text = code === 'commander.help' ? 'A command is missing.' : message.replace(/^error: /, '')
  return new InosError('ERR_USAGE', text, { hint: `See \`inos${command} --help\`.` })
}
