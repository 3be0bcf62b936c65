import { input, outputText } from './inos'

/** Counts the words of the input. */
export function run (): i32 {
  const bytes = input()
  let words = 0
  let inside = false
  for (let i = 0; i < bytes.length; i++) {
    const blank = bytes[i] === 0x20 || (bytes[i] >= 0x09 && bytes[i] <= 0x0d)
    if (!blank && !inside) words++
    inside = !blank
  }
  outputText(`${words}\n`)
  return 0
}
