// Counts the primes below a number: alone, or folded from children of itself that count parts of the range.
// Input as text: "from to parts fuel"; with parts below 2 the range is sieved here. Result as text: the count.
import { Child, inputText, outputText } from './inos'

export function run (): i32 {
  const words = inputText().split(' ')
  const from = i32(parseInt(words[0]))
  const to = i32(parseInt(words[1]))
  const parts = i32(parseInt(words[2]))
  if (parts < 2) {
    outputText(count(from, to).toString())
    return 0
  }
  const fuel = u64(parseInt(words[3]))
  const children: Child[] = []
  for (let part = 0; part < parts; part++) {
    const child = new Child()
    child.input = bytes(bound(from, to, part, parts).toString() + ' ' + bound(from, to, part + 1, parts).toString() + ' 1 0')
    child.fuelMax = fuel
    const refused = child.start()
    if (refused < 0) return refused
    children.push(child)
  }
  // All of them are at work; their results are folded in the order of the range, whoever is first.
  let sum = 0
  for (let part = 0; part < parts; part++) {
    if (children[part].exitCode() != 0) return children[part].exitCode()
    sum += i32(parseInt(String.UTF8.decode(children[part].result().buffer)))
  }
  outputText(sum.toString())
  return 0
}

function bound (from: i32, to: i32, part: i32, parts: i32): i32 {
  return from + i32(i64(to - from) * part / parts)
}

function bytes (words: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(words))
}

/** Primes in [from, to): a segmented sieve of Eratosthenes. */
function count (from: i32, to: i32): i32 {
  const composite = new Uint8Array(to - from)
  for (let step: i64 = 2; step * step < to; step++) {
    for (let at: i64 = max(step * step, (from + step - 1) / step * step); at < to; at += step) composite[i32(at - from)] = 1
  }
  let primes = 0
  for (let at = max(from, 2); at < to; at++) if (composite[at - from] == 0) primes++
  return primes
}
