/** A slice of the map over a mesh that breaks; `npm run map:mesh` runs it in full. */
import { test } from 'node:test'
import { runMapMesh } from './suites/map-mesh.ts'

// Goal: a map brings every item once, right, paid once and within its budget, whatever becomes of its sellers. Method: real
// processes over TCP that are killed, frozen, cheat or join on the way, see `suites/map-mesh.ts`.
test('a map over nodes that die, freeze and cheat', { timeout: 280_000 }, async t => {
  t.diagnostic(JSON.stringify(await runMapMesh(300, 1)))
})
