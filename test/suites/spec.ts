/**
 * The official WebAssembly spec scripts through the rewriter: every assertion that plain V8 passes
 * passes metered too.
 *
 *   npm run suite:spec -- DIR             DIR holds the *.wast files of WebAssembly/testsuite
 *   npm run suite:spec -- DIR --list      write spec-skips.json anew
 *
 * What is left out stands in spec-skips.json, by file, feature and lines, with the counts of the
 * rest; anything else left out, or one assertion fewer, makes this exit with 1. The last line on
 * stdout is one JSON object.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAssertion, play } from './spec-script.ts'
import type { Verdict } from './spec-script.ts'

const LIST = join(import.meta.dirname, 'spec-skips.json')

interface Skips {
  /** Assertions run, of which all passed, and assertions left out. */
  run: number
  skipped: number
  /** file → feature → lines; "5-9" stands for all commands from line 5 to line 9. */
  files: Record<string, Record<string, string>>
}

interface Counts { run: number, passed: number, failed: number, skipped: number, failures: string[], features: Record<string, number> }

/** Lines of what is left out; commands one after the other make one span. */
function spans (verdicts: readonly Verdict[]): Record<string, string> {
  const found: Record<string, string[]> = {}
  for (let i = 0; i < verdicts.length; i++) {
    const { kind, reason, line } = verdicts[i]!
    if (kind !== 'skip') continue
    while (verdicts[i + 1]?.kind === 'skip' && verdicts[i + 1]!.reason === reason) i++
    const last = verdicts[i]!.line
    ;(found[reason] ??= []).push(line === last ? `${line}` : `${line}-${last}`)
  }
  return Object.fromEntries(Object.entries(found).map(([feature, lines]) => [feature, lines.join(' ')]))
}

function count (file: string, verdicts: readonly Verdict[], counts: Counts): void {
  for (const { command, kind, reason, line } of verdicts) {
    if (kind === 'fail') {
      counts.failed++
      counts.failures.push(`${file}:${line} ${command}: ${reason}`)
    }
    if (!isAssertion(command)) continue
    if (kind === 'skip') {
      counts.skipped++
      counts.features[reason] = (counts.features[reason] ?? 0) + 1
      continue
    }
    counts.run++
    if (kind === 'pass') counts.passed++
  }
}

function main (directory: string, list: boolean): boolean {
  const counts: Counts = { run: 0, passed: 0, failed: 0, skipped: 0, failures: [], features: {} }
  const files: Skips['files'] = {}
  const names = readdirSync(directory).filter(name => name.endsWith('.wast')).sort()
  for (const name of names) {
    const verdicts = play(readFileSync(join(directory, name), 'latin1'))
    count(name, verdicts, counts)
    const left = spans(verdicts)
    if (Object.keys(left).length > 0) files[name] = left
  }
  for (const failure of counts.failures) console.error(`FAIL ${failure}`)
  const { run, passed, failed, skipped, features } = counts
  const found: Skips = { run, skipped, files }
  if (list) writeFileSync(LIST, `${JSON.stringify(found, null, 1)}\n`)
  const listed = JSON.parse(readFileSync(LIST, 'utf8')) as Skips
  const differing = [...new Set([...Object.keys(files), ...Object.keys(listed.files)])]
    .filter(name => JSON.stringify(files[name]) !== JSON.stringify(listed.files[name]))
  for (const name of differing) console.error(`${name}: left out ${JSON.stringify(files[name])}, listed ${JSON.stringify(listed.files[name])}`)
  const ok = failed === 0 && run === listed.run && skipped === listed.skipped && differing.length === 0
  console.log(JSON.stringify({ ok, files: names.length, run, passed, failed, skipped, expected: listed.run, differing, features }))
  return ok
}

const [directory, option] = process.argv.slice(2)
if (directory === undefined || (option !== undefined && option !== '--list')) {
  console.error('usage: npm run suite:spec -- DIR [--list]')
  process.exitCode = 64
} else if (!main(directory, option === '--list')) {
  process.exitCode = 1
}
