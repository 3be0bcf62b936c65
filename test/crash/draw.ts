/** Chance that a seed repeats. */
import { createHash } from 'node:crypto'

/** A number below `below` that depends only on seed, point and name. */
export function draw (seed: number, index: number, name: string, below: number): number {
  return createHash('sha256').update(`${seed}/${index}/${name}`).digest().readUInt32BE() % below
}
