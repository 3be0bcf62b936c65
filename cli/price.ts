/** `inos price`: what a node takes for work, from whom, and how much of the CPU it gives. */
import type { Command } from 'commander'
import { formatCredits, groupDigits, parseCredits } from '../src/packet/amounts.ts'
import { InosError } from '../src/packet/errors.ts'
import { DEFAULT_PRICES, PAGE_BYTES, type PriceList } from '../src/packet/limits.ts'
import type { NodeTrade } from '../src/assembly/trade.ts'
import type { SettingsChange } from '../src/assembly/settings.ts'
import { addData, addJson, type CommonOptions, type Context, examples } from './command.ts'
import { plain, table } from './output.ts'
import { parseBuyers, parsePercent, parsePriceName, PRICE_MEANINGS } from './price-words.ts'
import { formatBytes, parseBytes } from './units.ts'

export function addPrice (program: Command, context: Context): void {
  const price = program.command('price').description('what this node takes for work, and how to change it')
  const command = price.command('show', { isDefault: true }).description('prices, speed, buyers, and the share of the CPU')
  addJson(addData(command), 'one object; prices are µcr')
  examples(command, [['inos price', 'prices as they stand in the offer, and why']])
  command.action(async (options: CommonOptions) => { context.finish(await show(options, context)) })
  examples(price, [['inos price', 'what it takes now'], ['inos price set perMFuel=500ucr cpu=50%', 'half the usual price, half of the cores']])
  addSet(price, context)
}

function addSet (price: Command, context: Context): void {
  const command = price.command('set')
    .description('set prices, buyers, the share of the CPU or the room for blobs; kept in the data directory, and at once in force where the node runs')
    .argument('<name=value...>', `${Object.keys(DEFAULT_PRICES).join(', ')}: an amount, or auto; relay: an amount for each MiB relayed, or auto; buyers: anyone, or PeerIds with commas between; cpu: a percentage; blobs: room for them on the disk, or auto`)
  addJson(addData(command), 'one object, as of `inos price`')
  examples(command, [
    ['inos price set perMFuel=500ucr base=0ucr', 'prices that do not move with the load'],
    ['inos price set perMFuel=auto', 'let the node find this one again'],
    ['inos price set buyers=12D3KooW…,12D3KooW…', 'work for these peers only; buyers=anyone ends that'],
    ['inos price set relay=5000ucr', 'for each MiB this node relays to a peer beyond what is free'],
    ['inos price set cpu=50%', 'give jobs half of all cores on average'],
    ['inos price set blobs=5GiB', 'room for all blobs on the disk; `inos blob ls` shows what they take']
  ])
  command.action(async (words: string[], options: CommonOptions) => { context.finish(await set(words, options, context)) })
}

async function show (options: CommonOptions, context: Context): Promise<number> {
  const { ALONE, openOperator } = await import('./open.ts')
  await using operator = await openOperator({ data: options.data, join: ALONE, ...context })
  return await print(await operator.trade(), options, context)
}

async function set (words: readonly string[], options: CommonOptions, context: Context): Promise<number> {
  const change = readChange(words)
  const { ALONE, openOperator } = await import('./open.ts')
  await using operator = await openOperator({ data: options.data, join: ALONE, ...context })
  return await print(await operator.setTrade(change), options, context)
}

/** @throws {InosError} ERR_USAGE */
function readChange (words: readonly string[]): SettingsChange {
  const prices: Partial<Record<keyof PriceList, bigint | null>> = {}
  const change: { buyers?: readonly string[] | null, cpuPercent?: number, relayPerMiB?: bigint | null, blobCache?: number | null } = {}
  for (const word of words) {
    const at = word.indexOf('=')
    if (at < 1) throw new InosError('ERR_USAGE', `"${word.slice(0, 40)}" is not NAME=VALUE.`)
    const [name, value] = [word.slice(0, at), word.slice(at + 1)]
    if (name === 'buyers') change.buyers = parseBuyers(value)
    else if (name === 'cpu') change.cpuPercent = parsePercent(value)
    else if (name === 'relay') change.relayPerMiB = value === 'auto' ? null : parseCredits(value)
    else if (name === 'blobs') change.blobCache = value === 'auto' ? null : Number(parseBytes(value))
    else prices[parsePriceName(name)] = value === 'auto' ? null : parseCredits(value)
  }
  return { prices, ...change }
}

async function print (trade: NodeTrade, { json }: CommonOptions, { output }: Context): Promise<number> {
  if (json === true) await output.json(inOrder(trade))
  else await output.write(describe(trade))
  return 0
}

/** A control socket sorts names by their length. */
function inOrder ({ serving, prices, fixed, quarters, loadPercent, slots, idle, queued, fuelPerSec, memoryPagesMax, diskBytes, bytesPerSec, gpu, buyers, relayPerMiB, cpuPercent }: NodeTrade): NodeTrade {
  const { base, perMFuel, perPageSec, perKiB, perMB, perGiBh } = prices
  return {
    serving, prices: { base, perMFuel, perPageSec, perKiB, perMB, perGiBh }, fixed, quarters, loadPercent, slots, idle, queued, fuelPerSec, memoryPagesMax, diskBytes, bytesPerSec, gpu, buyers, relayPerMiB, cpuPercent
  }
}

function describe (trade: NodeTrade): string {
  const names = Object.keys(PRICE_MEANINGS) as (keyof PriceList)[]
  const unknown = 'not known'
  const load = trade.quarters === 4 ? 'the list' : `${trade.quarters * 25} % of the list`
  return table(names.map(name => [name, formatCredits(trade.prices[name]), trade.fixed.includes(name) ? 'set' : 'auto', `for ${PRICE_MEANINGS[name]}`])) +
    `\n${trade.serving ? `taking work; load ${trade.loadPercent} %, so auto is ${load}` : 'not taking work; `inos up` does'}\n` + table([
    ['slots', `${trade.slots}, ${trade.idle} idle, ${trade.queued} jobs wait`],
    ['speed', trade.fuelPerSec === null ? unknown : `${groupDigits(trade.fuelPerSec)} fuel a second and slot`],
    ['memory', `${formatBytes(trade.memoryPagesMax * PAGE_BYTES)} at most for a job`],
    ['disk', trade.diskBytes === null ? unknown : `${formatBytes(trade.diskBytes)} free`],
    ['bandwidth', trade.bytesPerSec === null ? unknown : `${formatBytes(trade.bytesPerSec)} a second, as observed`],
    ['gpu', trade.gpu === null ? 'none known' : `${plain(trade.gpu)}; jobs cannot use it`],
    ['relay', `${formatCredits(trade.relayPerMiB)} for each MiB relayed beyond what is free`],
    ['buyers', trade.buyers === null ? 'anyone' : trade.buyers.map(plain).join(', ')],
    ['cpu', `${trade.cpuPercent} %`]
  ])
}
