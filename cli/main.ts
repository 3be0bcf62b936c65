#!/usr/bin/env node
/**
 * The entry of the command line. It loads nothing before it knows that this Node can run it, and
 * answers `--version` at once; the rest is in `program.ts`.
 */
const NODE_MIN = 24

const [major] = process.versions.node.split('.')
if (Number(major) < NODE_MIN) {
  process.stderr.write(`error: INOS needs Node ${NODE_MIN} or newer; this is Node ${process.versions.node}.\nhint: Install it from https://nodejs.org or with your version manager.\n`)
  process.exit(100)
}

if (['--version', '-V'].includes(process.argv[2] ?? '')) {
  const { packageVersion } = await import('./version.ts')
  process.stdout.write(`${packageVersion()}\n`)
} else {
  const { main } = await import('./program.ts')
  await main(process.argv.slice(2))
}

export {}
