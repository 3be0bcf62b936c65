/**
 * Guests in every language that has a template: `inos module init` writes a project, its own build makes a
 * module, and `inos run` runs it. A language whose compiler is not installed is skipped by name.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const MODULES = fileURLToPath(new URL('../node_modules', import.meta.url))
const root = mkdtempSync(join(tmpdir(), 'inos-guests-'))
after(() => rmSync(root, { recursive: true, force: true }))

function inos (args: readonly string[], input = ''): { code: number | null, stdout: string, stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { cwd: root, input, encoding: 'utf8', timeout: 120_000, env: { ...process.env, INOS_HOME: join(root, 'home') } })
  return { code: status, stdout, stderr }
}

/** Whether a command ends well; what it prints may have to contain a word. */
function works (command: string, args: readonly string[], word = ''): boolean {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 })
  return status === 0 && stdout.includes(word)
}

/** Whether cargo's rustc has the standard library of the target. */
function hasRustTarget (): boolean {
  const args = ['--target', 'wasm32-unknown-unknown', '--print', 'target-libdir']
  const { status, stdout } = spawnSync('rustc', args, { encoding: 'utf8', timeout: 60_000 })
  return status === 0 && works('cargo', ['--version']) && works('ls', [stdout.trim()], 'libstd')
}

const OFFLINE = { ...process.env, CARGO_NET_OFFLINE: 'true', GOFLAGS: '-mod=mod', GOPROXY: 'off', GOTOOLCHAIN: 'local' }

interface Language { readonly lang: string, readonly name: string, readonly files: readonly string[], readonly missing: string | false }

const LANGUAGES: readonly Language[] = [
  {
    lang: 'c', name: 'C', files: ['README.md', 'build.sh', 'inos.h', 'job.c'],
    missing: !(works('clang', ['--print-targets'], 'wasm32') && works('wasm-ld', ['--version'])) && 'apt install clang lld'
  },
  {
    lang: 'rust', name: 'Rust', files: ['Cargo.toml', 'README.md', 'build.sh', 'src/inos.rs', 'src/lib.rs'],
    missing: !hasRustTarget() && 'rustup target add wasm32-unknown-unknown, or apt install cargo libstd-rust-dev-wasm32'
  },
  { lang: 'as', name: 'AssemblyScript', files: ['README.md', 'build.sh', 'inos.ts', 'job.ts', 'package.json'], missing: false },
  { lang: 'go', name: 'Go', files: ['README.md', 'build.sh', 'go.mod', 'inos/inos.go', 'main.go'], missing: !works('go', ['version']) && 'Go 1.21 from https://go.dev/dl' }
]

for (const { lang, name, files, missing } of LANGUAGES) {
  // Goal: who begins a project has a module that runs after one more command.
  // Method: init, build as the README says, run on three inputs, one of them longer than a buffer.
  test(`a project in ${name} builds and runs`, { skip: missing }, () => {
    const dir = join(root, lang)
    const init = inos(['module', 'init', '--lang', lang, dir, '--json'])
    assert.equal(init.code, 0, init.stderr)
    const project = JSON.parse(init.stdout) as { files: string[], build: string, run: string }
    assert.deepEqual(project.files, files)
    // The compiler of this checkout stands in for what npm would fetch.
    if (lang === 'as') symlinkSync(MODULES, join(dir, 'node_modules'))
    assert.equal(project.build, 'sh build.sh')
    execFileSync('sh', ['build.sh'], { cwd: dir, encoding: 'utf8', stdio: 'pipe', env: OFFLINE })
    for (const [input, words] of [['one two  three\n', 3], ['', 0], ['word '.repeat(40_000), 40_000]] as const) {
      const { code, stdout, stderr } = inos(['run', join(dir, 'job.wasm')], input)
      assert.deepEqual([code, stdout], [0, `${words}\n`], stderr)
    }
  })
}

const GO_FAN = String.raw`package main

import (
	"bytes"
	"strconv"

	"job/inos"
)

func main() {
	lines := bytes.Split(inos.Input(), []byte("\n"))
	if len(lines) == 1 {
		inos.Output([]byte(strconv.Itoa(len(bytes.Fields(lines[0])))))
		return
	}
	var handles []inos.Handle
	for _, line := range lines {
		handles = append(handles, inos.Child{Input: line, FuelMax: 100_000_000}.Start())
	}
	sum := 0
	for _, handle := range handles {
		if handle.ExitCode() != 0 {
			inos.Log("a child ended by " + strconv.Itoa(handle.ExitCode()))
		}
		words, _ := strconv.Atoi(string(handle.Result()))
		sum += words
	}
	refused := inos.Child{FuelMax: 1}.Start()
	inos.Output([]byte(strconv.Itoa(sum) + " " + strconv.Itoa(int(refused)) + "\n"))
}
`

// Goal: a guest in Go has others computed. Method: one that counts the words of each line in a child of its own; one child more than it may have.
test('a guest in Go has children', { skip: LANGUAGES.find(({ lang }) => lang === 'go')!.missing }, () => {
  const dir = join(root, 'go-fan')
  assert.equal(inos(['module', 'init', '--lang', 'go', dir]).code, 0)
  writeFileSync(join(dir, 'main.go'), GO_FAN)
  execFileSync('sh', ['build.sh'], { cwd: dir, encoding: 'utf8', stdio: 'pipe', env: OFFLINE })
  const { code, stdout, stderr } = inos(['run', join(dir, 'job.wasm'), '--children', '3'], 'one two\nthree\nfour five six')
  assert.deepEqual([code, stdout], [0, '6 -76\n'], stderr)
})

// Goal: nobody's work is overwritten. Method: init where one of the files exists, then look at all of them.
test('module init overwrites nothing', () => {
  const dir = join(root, 'taken')
  assert.equal(inos(['module', 'init', '--lang', 'c', dir]).code, 0)
  rmSync(join(dir, 'build.sh'))
  writeFileSync(join(dir, 'job.c'), 'mine')
  const { code, stderr } = inos(['module', 'init', '--lang', 'c', dir])
  assert.equal(code, 64)
  assert.match(stderr, /exists already/)
  assert.equal(readFileSync(join(dir, 'job.c'), 'utf8'), 'mine')
  assert.throws(() => readFileSync(join(dir, 'build.sh')))
  assert.equal(inos(['module', 'init', '--lang', 'cobol', dir]).code, 64)
})
