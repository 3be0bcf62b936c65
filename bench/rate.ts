/** What benches of this folder measure alike: how many a second, how long one takes, and when all is paid. */

export interface Rate {
  /** Of whatever is measured, per second. */
  perSecond: number
  /** Median time of one, milliseconds. */
  p50Ms: number
}

/** Keep `inFlight` calls of `ask` going until `count` are done. */
export async function measure (ask: () => Promise<unknown>, inFlight: number, count: number): Promise<Rate> {
  const waits = new Float64Array(count)
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const at = performance.now()
      await ask()
      waits[i] = performance.now() - at
    }
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: inFlight }, worker))
  const seconds = (performance.now() - start) / 1000
  return { perSecond: Math.round(count / seconds), p50Ms: Number(waits.sort()[count >> 1]!.toFixed(4)) }
}

/** As `measure`, but the clock runs until nothing is owed and every cheque is acknowledged. */
export async function measureSettled (node: { settle (): Promise<void> }, job: () => Promise<void>, inFlight: number, count: number): Promise<Rate> {
  const start = performance.now()
  const { p50Ms } = await measure(job, inFlight, count)
  await node.settle()
  return { perSecond: Math.round(count / ((performance.now() - start) / 1000)), p50Ms }
}

export function better<R extends Rate> (a: R | undefined, b: R): R {
  return a === undefined || b.perSecond > a.perSecond ? b : a
}

export function medianOf (values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}
