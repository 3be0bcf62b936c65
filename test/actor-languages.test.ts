/** Modules as compilers make them, kept from message to message: their allocators, collectors and libraries must not notice. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { KeptState } from '../src/packet/state-views.ts'
import type { Processor } from '../src/processor/processor.ts'
import { createTestMesh } from '../src/testing/index.ts'

const root = mkdtempSync(join(tmpdir(), 'inos-actor-languages-'))
after(() => rmSync(root, { recursive: true, force: true }))

const LIMITS = { fuelMax: 100_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 }

/** Send messages to two nodes in turn. @returns replies */
async function converse (nodes: readonly Processor[], wasm: Uint8Array, messages: readonly string[]): Promise<string[]> {
  const replies: string[] = []
  let before: KeptState | null = null
  for (const [i, message] of messages.entries()) {
    const result = await nodes[0]!.compute(wasm, message, { limits: LIMITS, where: nodes[i % nodes.length]!.id, step: { before } })
    before = result.state!
    replies.push(result.text())
  }
  return replies
}

/** A reactor of wasi-libc: a constructor that must run once, a list on the heap, a buffered stdout and stdin, and a file that is gone with its message. */
const DIARY = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct line { struct line *next; char text[]; };
static struct line *last;
static int begun, lines;
__attribute__((constructor)) static void begin(void) { begun++; }
__attribute__((export_name("run"))) int run(void) {
  static char buffer[4096];
  clearerr(stdin);
  size_t length = fread(buffer, 1, sizeof buffer - 1, stdin);
  buffer[length] = 0;
  struct line *line = malloc(sizeof *line + length + 1);
  strcpy(line->text, buffer);
  line->next = last;
  last = line;
  FILE *old = fopen("/note", "r");
  FILE *new = fopen("/note", "w");
  if (new) { fputs(buffer, new); fclose(new); }
  printf("%d %d %s:", begun, ++lines, old ? "old" : "none");
  if (old) fclose(old);
  for (struct line *at = last; at; at = at->next) printf(" %s", at->text);
  fflush(stdout);
  return 0;
}
`

const toolsOfC = existsSync('/usr/include/wasm32-wasi/stdio.h') && spawnSync('clang', ['--version']).status === 0 && spawnSync('wasm-ld', ['--version']).status === 0

// Goal: a C program goes on from message to message, on one node and on two: its constructor ran once, its heap grows on, its files do not last.
// Method: a diary with malloc, stdio and a static constructor.
test('C with a library keeps its heap', { skip: !toolsOfC && 'apt install clang lld wasi-libc libclang-rt-dev-wasm32' }, async () => {
  const file = join(root, 'diary.wasm')
  execFileSync('clang', ['--target=wasm32-wasi', '-O2', '-mexec-model=reactor', '-x', 'c', '-', '-o', file], { input: DIARY })
  await using mesh = await createTestMesh({ nodes: 2 })
  await mesh.settled()
  const said = await mesh.wait(converse(mesh.nodes, readFileSync(file), ['one', 'two', 'three', 'four']))
  assert.deepEqual(said, ['1 1 none: one', '1 2 none: two one', '1 3 none: three two one', '1 4 none: four three two one'])
})

// Goal: a language with a collector of its own goes on: thousands of strings come and go over many messages.
// Method: the notes of the example, each put again and again, on two nodes in turn.
test('AssemblyScript keeps its objects', async () => {
  const notes = readFileSync(new URL('../examples/actor/notes.wasm', import.meta.url))
  await using mesh = await createTestMesh({ nodes: 2 })
  await mesh.settled()
  const messages = Array.from({ length: 60 }, (_, i) => `put note-${i % 20} ${`text ${i} `.repeat(200)}`)
  const said = await mesh.wait(converse(mesh.nodes, notes, [...messages, 'get note-7', 'list']))
  assert.equal(said[59], '60 puts, 20 notes')
  assert.equal(said[60], 'text 47 '.repeat(200))
  assert.equal(said[61]!.split(' ').length, 20)
})
