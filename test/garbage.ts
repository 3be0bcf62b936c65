/** For tests of what stays in memory: garbage is taken away first, which V8 does when it likes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
export const collect = runInNewContext('gc') as () => void

/** What `measure` gives once it is below `max`, or after two seconds: V8 frees buffers on another thread. */
export async function afterGarbage (measure: () => number, max: number): Promise<number> {
  let value = measure()
  for (let tries = 0; tries < 100 && value >= max; tries++) {
    collect()
    await sleep(20)
    value = measure()
  }
  return value
}
