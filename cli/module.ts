/** `inos module`: what a module is before it runs anywhere, and how one begins. */
import type { Command } from 'commander'
import { groupDigits } from '../src/packet/amounts.ts'
import { InosError } from '../src/packet/errors.ts'
import { PAGE_BYTES } from '../src/packet/limits.ts'
import type { ModuleReport } from '../src/wasm/runtime.ts'
import { addJson, type CommonOptions, type Context, examples } from './command.ts'
import { addInit } from './module-init.ts'
import { plain, table } from './output.ts'
import { formatBytes } from './units.ts'

/** Refusals that are about the module. */
const REFUSALS: readonly string[] = ['ERR_INVALID_MODULE', 'ERR_UNSUPPORTED_IMPORT']

/** What a run of an accepted module is: no import that nodes provide gives a real clock, entropy or a network. */
const CLASS = 'deterministic'

export function addModule (program: Command, context: Context): void {
  const family = program.command('module').description('check, name or begin a WASM module')
  examples(family, [
    ['inos module check sum.wasm', 'whether nodes take it, and what it needs'],
    ['inos module hash sum.wasm', 'its CID'],
    ['inos module init --lang c sum', 'a project in C']
  ])

  const check = family.command('check').description('decode, admit and meter a module without running it')
    .argument('<file.wasm>', 'the module')
  addJson(check)
  examples(check, [['inos module check sum.wasm --json', 'sizes, ABI, imports, features, estimated cost of compiling']])
  check.action(async (file: string, options: CommonOptions) => { context.finish(await inspect(file, options, context)) })

  const hash = family.command('hash').description('print the CID of a module, its name in orders and receipts')
    .argument('<file.wasm>', 'the module')
  addJson(hash)
  examples(hash, [['inos module hash sum.wasm', 'CIDv1, raw, sha2-256']])
  hash.action(async (file: string, options: CommonOptions) => { context.finish(await name(file, options, context)) })
  addInit(family, context)
}

async function inspect (file: string, { json }: CommonOptions, { output, signal }: Context): Promise<number> {
  const { readModule } = await import('./files.ts')
  const { createExecutorPool } = await import('../src/node/executor-pool.ts')
  const { cancellable } = await import('./open.ts')
  const wasm = await readModule(file, signal)
  await using pool = createExecutorPool({ slots: 1 })
  output.status('checking the module')
  const report = await cancellable(signal, pool.inspect(wasm)).finally(() => output.status(null)).catch(async (error: unknown) => {
    // The verdict comes first; the rule, function and offset are the error's own words.
    if (json !== true && error instanceof InosError && REFUSALS.includes(error.code)) await output.write(`${plain(file)}: nodes refuse it\n`)
    throw error
  })
  if (json === true) await output.json({ ok: true, cid: await cidOf(wasm), class: CLASS, ...report })
  else await output.write(describeReport(file, await cidOf(wasm), report))
  return 0
}

function describeReport (file: string, cid: string, report: ModuleReport): string {
  const { bytes, meteredBytes, functions, abi, imports, exports, features, memoryPagesMin, estimate } = report
  const rows = [
    ['  cid', cid],
    ['  size', `${formatBytes(bytes)}, ${formatBytes(meteredBytes)} metered, ${groupDigits(functions)} function${functions === 1 ? '' : 's'}`],
    ['  ABI', abi],
    ['  imports', plain(imports.join(', ')) || 'none'],
    ['  exports', plain(exports.join(', ')) || 'none'],
    ['  features', features.join(', ') || 'none beyond the first version'],
    ['  memory', `${formatBytes(memoryPagesMin * PAGE_BYTES)} from its start`],
    ['  class', `${CLASS}: the same outcome, bytes and fuel on every node`],
    ['  compiling', `about ${groupDigits(Math.ceil(estimate.cpuMs))} ms and ${formatBytes(estimate.peakBytes)}`]
  ]
  return `${plain(file)}: nodes take it\n${table(rows)}`
}

async function name (file: string, { json }: CommonOptions, { output, signal }: Context): Promise<number> {
  const { readModule } = await import('./files.ts')
  const wasm = await readModule(file, signal)
  const cid = await cidOf(wasm)
  if (json === true) await output.json({ cid, bytes: wasm.length })
  else await output.write(`${cid}\n`)
  return 0
}

async function cidOf (wasm: Uint8Array): Promise<string> {
  const { hash } = await import('node:crypto')
  const { rawCidOfDigest } = await import('../src/packet/cid.ts')
  return rawCidOfDigest(hash('sha256', wasm, 'buffer')).toString()
}
