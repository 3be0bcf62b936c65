/**
 * What processes have used of the processors, in milliseconds, whatever else the machine does: a busy
 * machine slows systems of many processes less than those of few, and this it does not change. Linux.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** Of a second, by proc(5) on every Linux there is. */
const TICKS = 100

interface Usage { readonly parent: number, readonly ms: number }

/** @returns of these processes and all that descend from them; 0 where the system does not say */
export function cpuMsOf (roots: readonly number[]): number {
  const all = usages()
  const isOurs = (pid: number): boolean => roots.includes(pid) || (all.has(pid) && isOurs(all.get(pid)!.parent))
  return all.entries().reduce((sum, [pid, { ms }]) => isOurs(pid) ? sum + ms : sum, 0)
}

function usages (): Map<number, Usage> {
  const found = new Map<number, Usage>()
  if (process.platform !== 'linux') return found
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isSafeInteger)) {
    try {
      // The name, in brackets, may hold anything.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
      found.set(pid, { parent: Number(fields[1]), ms: (Number(fields[11]) + Number(fields[12])) * 1_000 / TICKS })
    } catch {
      // It has ended since.
    }
  }
  return found
}

/** Of all cores together, since the machine started; zeros where the system does not say. `busy`: whoever used them. */
export interface MachineMs { readonly busy: number, readonly idle: number }

export function machineMs (): MachineMs {
  if (process.platform !== 'linux') return { busy: 0, idle: 0 }
  // By proc(5): user, nice, system, idle, iowait, irq, softirq, steal; what guests of a hypervisor use is in user already.
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0] = /^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'latin1'))![1]!.split(' ').map(ticks => Number(ticks) * 1_000 / TICKS)
  return { busy: user + nice + system + irq + soft + steal, idle: idle + wait }
}
