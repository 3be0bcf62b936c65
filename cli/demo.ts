/** `inos demo`: three nodes, real jobs, credits flowing. The demo itself is in examples/demo. */
import { type Command, InvalidArgumentError } from 'commander'
import { addJson, type Context, examples, read } from './command.ts'
import { parseCount } from '../src/packet/amounts.ts'
import { LIMITS } from '../src/packet/limits.ts'

interface DemoOptions { seed: number, size: { width: number, height: number }, nodes: number, keep?: string, ui?: number | true, json?: true }

const SEED_MAX = 2n ** 32n - 1n
const NODES_MAX = 16n
const SIDE_MAX = 4_096
const PORT_MAX = 65_535n

export function addDemo (program: Command, context: Context): void {
  const command = program.command('demo').description('three nodes on this machine render a picture together; one is killed and comes back')
    .option('--seed <n>', 'which scene', read(text => Number(parseCount(text, SEED_MAX))), 1)
    .option('--size <WxH>', 'size of the picture (default: 960x540)', parseSize, { width: 960, height: 540 })
    .option('--nodes <n>', 'how many nodes', read(text => Number(parseCount(text, NODES_MAX))), 3)
    .option('--keep <dir>', 'keep data directories and picture there')
    .option('--ui [port]', `serve the dashboard of a node and keep it open until Ctrl-C, 0: any free port (default port: ${LIMITS.dashboard.port})`, read(text => Number(parseCount(text, PORT_MAX))))
  addJson(command, 'one object at the end: nodes, jobs, receipts, sums, picture')
  examples(command, [
    ['inos demo', 'watch it'],
    ['inos demo --ui', 'watch its jobs in a browser; the link it prints holds the token'],
    ['inos demo --seed 7 --size 1920x1080 --keep ./demo', 'another scene, larger, kept']
  ])
  command.action(async ({ seed, size, nodes, keep, ui, json }: DemoOptions) => {
    const { demo } = await import('../examples/demo/main.ts')
    context.finish(await demo({ seed, ...size, nodes, ...(keep === undefined ? {} : { keep }), ...(ui === undefined ? {} : { ui: ui === true ? LIMITS.dashboard.port : ui }), json: json === true, signal: context.signal }))
  })
}

function parseSize (text: string): { width: number, height: number } {
  const [width = 0, height = 0] = (/^(\d{1,4})x(\d{1,4})$/.exec(text) ?? []).slice(1).map(Number)
  if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX) {
    throw new InvalidArgumentError(`"${text.slice(0, 40)}" is not a size such as 960x540, each side 1 to ${SIDE_MAX}.`)
  }
  return { width, height }
}
