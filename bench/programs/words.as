// A program as people write them in AssemblyScript: classes, strings, maps, sorting, and the collector that cleans up behind it.
class Word {
  constructor (public text: string, public count: i32) {}
}

let seed: u32 = 42
function next (): u32 {
  seed = seed * 1664525 + 1013904223
  return seed >> 8
}

function text (rounds: i32): string[] {
  const words: string[] = []
  for (let i = 0; i < rounds; i++) words.push('w' + (next() % 997).toString() + (i % 3 == 0 ? '-' + (next() % 7).toString() : ''))
  return words
}

export function run (): i32 {
  seed = 42
  let sum = 0
  for (let round = 0; round < 6; round++) {
    const counts = new Map<string, Word>()
    const words = text(40000).join(' ').split(' ')
    for (let i = 0; i < words.length; i++) {
      const word = words[i]
      if (counts.has(word)) counts.get(word).count++
      else counts.set(word, new Word(word, 1))
    }
    const all = counts.values()
    all.sort((a, b) => b.count != a.count ? b.count - a.count : a.text > b.text ? 1 : -1)
    for (let i = 0; i < all.length; i++) sum = (sum * 31 + all[i].count * all[i].text.length) & 0xffffff
  }
  return sum
}
