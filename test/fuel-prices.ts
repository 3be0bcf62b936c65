/** For tests: the prices of docs/fuel.md once more, by name and by hand, so that they share nothing with the meter's. */

const FREE = /^(block|loop|else|end|nop|try_table)$/
/** Instructions that cost more than one unit whatever they do. */
const DEAR: ReadonlyArray<readonly [RegExp, number]> = [
  [/^(throw|throw_ref|memory\.grow|table\.grow)$/, 32], [/^(memory\.fill|table\.(init|copy|fill))$/, 16], [/^table\.set$/, 8]
]

/**
 * Units of an instruction, besides those by length.
 * @param throws whether its module has tags
 */
export function unitsOf (name: string, throws: boolean): number {
  if (FREE.test(name)) return 0
  if (throws && /^call/.test(name)) return 8
  return DEAR.find(([names]) => names.test(name))?.[1] ?? 1
}

/** Units by the length of a bulk instruction; none if it has no length. */
export function unitsOfLength (name: string, length: number): number {
  if (/^memory\.(fill|copy|init)$/.test(name)) return Math.floor(length / 8)
  return /^table\.(fill|copy|init)$/.test(name) ? 8 * length : 0
}

/** Units by the length of growth that does not fail. */
export function unitsOfGrowth (name: string, length: number): number {
  return length * (name === 'memory.grow' ? 1024 : 8)
}
