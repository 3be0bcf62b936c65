import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCampaign } from './campaign.ts'

// Goal: messages are counted once and in order while hosts and the caller are killed and the actor moves, and the history verifies.
// Method: a slice of the campaign.
test('an actor survives kills and moves', async () => {
  const report = await runCampaign({ seed: 7, messages: 120, kills: 3, callerKills: 2, migrations: 3 })
  assert.deepEqual(report.problems, [])
  assert.deepEqual([report.ok, report.chainMessages], [true, 120])
  assert.ok(report.moves >= 3)
})
