import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

// Goal: the example does what it says. Method: run it, and compare what it prints but for the names of nodes.
test('the example of an actor', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(new URL('main.ts', import.meta.url))], { encoding: 'utf8', timeout: 120_000 })
  assert.equal(status, 0, stderr)
  const lines = stdout.trim().split('\n').map(line => line.replace(/ +at \w{6}$/, '').replace(/ {2,}/, ' → '))
  assert.deepEqual(lines, [
    'put milk two litres → 1 puts, 1 notes', 'put bread the dark one → 2 puts, 2 notes', 'list → bread milk', 'its host is stopped', 'put eggs ten → 3 puts, 3 notes',
    'its caller is stopped, and starts again', 'get milk → two litres', 'list → bread eggs milk', '6 messages at 2 nodes, each from the state that the one before has left: verified'
  ])
})
