/**
 * What this machine has, as far as it can be told without asking anybody: memory, disk, graphics
 * processor. What is not known stays null.
 */
import { readdirSync, readFileSync, statfsSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import type { Machine } from '../processor/gauge.ts'

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
