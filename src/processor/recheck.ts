/**
 * Running a bought job again on this node, before its receipt is accepted: every job is deterministic, so
 * whoever gave another result, or says that it burnt another amount of fuel, gave a wrong answer.
 */
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Receipt } from '../packet/records.ts'
import type { RunFacts } from '../credits/seller.ts'
import { bringRun, moduleOf } from './contents.ts'
import { Family } from './family.ts'
import { factsOf, type Job, outputOf } from './job.ts'
import type { Modules } from './kin.ts'
import type { Rooms } from './rooms.ts'

/** Draws are of 32 bits. */
const DRAWS = 2 ** 32

/**
 * Whether an answer of a peer is to be checked by running it again: the first ones of a peer always, of the others a share
 * that nobody can foretell.
 * @param share 0 to 1
 */
export function isDrawn (node: Rooms, peer: string, share: number): boolean {
  if (share === 0) return false
  if ((node.history.of(peer)?.ok ?? 0) < LIMITS.market.auditedFirst) return true
  return new DataView(node.platform.randomBytes(4).slice().buffer).getUint32(0) < share * DRAWS
}

/** @throws {InosError} ERR_RECEIPT_INVALID naming what the receipt says otherwise, ERR_CANCELLED; a fault of this node is no evidence, and passes */
export async function recheck (node: Rooms, job: Job, modules: Modules, receipt: Receipt, signal: AbortSignal): Promise<void> {
  const facts = await runAgain(node, job, modules, signal)
  if (facts === null) return
  const field = FIELDS.find(name => `${facts[name]}` !== `${receipt[name]}`)
  if (field !== undefined) throw new InosError('ERR_RECEIPT_INVALID', `Run again here the same job gave another "${field}" than its receipt says.`)
}

/** CIDs, numbers and words: the same as text when they are the same. */
const FIELDS: readonly (keyof RunFacts)[] = ['outcome', 'exitCode', 'result', 'resultBytes', 'files', 'filesBytes', 'fuel', 'pages', 'state']

/** Its children as well, all of them here. */
async function runAgain (node: Rooms, job: Job, modules: Modules, signal: AbortSignal): Promise<RunFacts | null> {
  const { platform, runtime } = node
  const { spec, step } = job
  try {
    const payer = platform.signer.id
    const { module, limits } = spec.spec
    using brought = await bringRun(node, job, signal)
    const family = new Family(node, {
      module, limits, payer, signal, where: 'local', costMax: 0n, prices: null, order: () => node.credits.orderOwn(spec.id).id,
      modules: async cid => cid === module.toString() ? await moduleOf(node, job, signal) : await modules(cid)
    })
    const outcome = await family.raise(compute => runtime.execute(brought.run, { payer, signal, compute }))
    return factsOf(spec, outcome, await outputOf(spec, outcome, step?.before ?? null, platform.digest))
  } catch (thrown) {
    if (signal.aborted) throw thrown
    platform.log('running a bought job again', toInosError(thrown))
    return null
  }
}
