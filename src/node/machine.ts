/**
 * What this machine has, as far as it can be told without asking anybody: memory, disk, graphics
 * processor, and by a short run the speed of its executors. What is not known stays null.
 */
import { readdirSync, readFileSync, statfsSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import type { Machine } from '../processor/gauge.ts'
import type { Runtime } from '../wasm/runtime.ts'

export function lookAtMachine (blobsPath: string): Machine {
  return {
    // Guests seldom touch all that they may; half leaves room for everything else that runs here.
    memoryPagesMax: Math.min(LIMITS.spec.memoryPagesMax, Math.floor(memoryBytes() / 2 / PAGE_BYTES)),
    gpu: findGpu(),
    diskBytes: () => freeBytes(blobsPath)
  }
}

/** Of the machine, or of the container this process is in. */
function memoryBytes (): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}

function freeBytes (path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return null
  }
}

/** PCI vendors of graphics processors (pci-ids.ucw.cz); display adapters of others are none worth a name. */
const VENDORS: Readonly<Record<string, string>> = { '0x10de': 'nvidia', '0x1002': 'amd', '0x8086': 'intel' }

/** Linux tells it without a library; elsewhere nobody looks. */
function findGpu (): string | null {
  const root = '/sys/class/drm'
  try {
    for (const name of readdirSync(root).filter(name => /^card\d+$/.test(name)).sort()) {
      const [vendor, device] = ['vendor', 'device'].map(field => readFileSync(join(root, name, 'device', field), 'utf8').trim())
      if (VENDORS[vendor!] !== undefined && /^0x[\da-f]{4}$/.test(device!)) return `${VENDORS[vendor!]} ${device!.slice(2)}`
    }
  } catch {
    // No such tree, or nothing in it that may be read.
  }
  return null
}

/** `(func (export "run") (result i32) (local i32) (loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 12000000)))) (i32.const 0))` and a memory. */
const LOOP = Uint8Array.from([
  0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 5, 1, 0x60, 0, 1, 0x7f,
  3, 2, 1, 0,
  5, 3, 1, 0, 1,
  7, 16, 2, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2, 0, 3, 0x72, 0x75, 0x6e, 0, 0,
  10, 26, 1, 24, 1, 1, 0x7f,
  0x03, 0x40, 0x20, 0, 0x41, 1, 0x6a, 0x22, 0, 0x41, 0x80, 0xb6, 0xdc, 0x05, 0x49, 0x0d, 0, 0x0b, 0x41, 0, 0x0b
])

/** Let an executor run a loop of some 80 million fuel, twice: only warm runs count, and while the first goes on V8 compiles it well. */
export async function calibrate (runtime: Runtime): Promise<void> {
  const run = {
    moduleId: 'calibration', wasm: LOOP, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax: 1_000_000_000n, memoryPagesMax: 1, outputBytesMax: 0 }, seed: new Uint8Array(32)
  }
  for (let runs = 0; runs < 2; runs++) await runtime.execute(run, { payer: '' })
}
