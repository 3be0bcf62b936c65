/**
 * Makes a fresh clone ready, and does nothing when it is: the pinned Node where this machine's is
 * too old, the packages of the lockfile, and links through which `./inos` and npm find that Node.
 * Plain JavaScript that runs on Node 20 with nothing installed.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR = 24
const root = fileURLToPath(new URL('..', import.meta.url))
const windows = process.platform === 'win32'

const node = chooseNode()
installPackages()
linkNode(node)
buildPage(node)

/** This machine's Node if it is new enough, else the pinned one, fetched once. */
function chooseNode () {
  const own = realpathSync(process.execPath)
  const pinnedFolder = join(root, '.node', 'node_modules', `node-${windows ? 'win' : process.platform}-${process.arch}`)
  const pinned = join(pinnedFolder, 'bin', windows ? 'node.exe' : 'node')
  // Run again through npm, this script may itself be run by the pinned Node.
  if (own === (existsSync(pinned) ? realpathSync(pinned) : '')) return own
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) return own
  const wanted = JSON.parse(readFileSync(join(root, '.node', 'package.json'), 'utf8')).optionalDependencies
  const name = `node-${windows ? 'win' : process.platform}-${process.arch}`
  if (!(name in wanted)) {
    fail(`INOS needs Node ${NODE_MAJOR} or newer; this is ${process.version}, and npm has no Node for ${process.platform} ${process.arch}. Install one from https://nodejs.org and run this again.`)
  }
  if (!existsSync(pinned) || versionOf(pinnedFolder) !== wanted[name]) {
    say(`this Node is ${process.version}, INOS needs ${NODE_MAJOR}: fetching ${wanted[name]} once (about 50 MB)`)
    npm(['ci', '--prefix', join(root, '.node')])
    if (!existsSync(pinned)) fail(`npm did not install ${name}. Install Node ${NODE_MAJOR} or newer and run this again.`)
  }
  return pinned
}

function versionOf (folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version
}

/** `npm ci`, unless node_modules already is what the lockfile says. */
function installPackages () {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex')
  const stamp = join(root, 'node_modules', '.inos-setup')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  say('installing packages from the lockfile')
  npm(['ci', '--prefix', root])
  writeFileSync(stamp, lock)
}

/** `.node/current` is what ./inos runs; node_modules/.bin comes first in npm's PATH. */
function linkNode (target) {
  link(target, join(root, '.node', windows ? 'current.exe' : 'current'))
  const bin = join(root, 'node_modules', '.bin')
  mkdirSync(bin, { recursive: true })
  link(target, join(bin, windows ? 'node.exe' : 'node'))
}

/** The page that `inos up --ui` serves from a checkout. */
function buildPage (target) {
  const done = spawnSync(target, [join(root, 'scripts', 'build-page.ts')], { stdio: ['ignore', 'ignore', 2] })
  if (done.status !== 0) fail('the page of the dashboard could not be built.')
}

function link (target, path) {
  if (existsSync(path) && realpathSync(path) === realpathSync(target)) return
  rmSync(path, { force: true })
  symlinkSync(target, path)
}

function npm (args) {
  // No install script of any package is needed, so none is run.
  const all = [...args, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const cli = process.env.npm_execpath
  const done = cli === undefined
    ? spawnSync(windows ? 'npm.cmd' : 'npm', all, { stdio: ['ignore', 2, 2], shell: windows })
    : spawnSync(process.execPath, [cli, ...all], { stdio: ['ignore', 2, 2] })
  if (done.status !== 0) fail(`npm ${args[0]} failed. Without a network, run this once where there is one; everything is kept afterwards.`)
}

function say (text) { process.stderr.write(`set-up: ${text}\n`) }

function fail (text) {
  say(text)
  process.exit(1)
}
