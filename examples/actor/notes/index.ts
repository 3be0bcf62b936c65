/**
 * Notes that outlive a message, in AssemblyScript: nothing is loaded or saved. The map, the strings in it and the collector of the
 * language lie in the module's memory and globals, which are its state.
 *
 *     put NAME TEXT    get NAME    list
 */
import { inputText, outputText } from '../../../guest/assemblyscript/inos'

const notes = new Map<string, string>()
let puts = 0

function answer (message: string): string {
  const words = message.split(' ')
  if (words[0] === 'put' && words.length > 2) {
    notes.set(words[1], words.slice(2).join(' '))
    return `${++puts} puts, ${notes.size} notes`
  }
  if (words[0] === 'get' && words.length === 2) return notes.has(words[1]) ? notes.get(words[1]) : 'none'
  if (words[0] === 'list') return notes.keys().sort().join(' ')
  return 'put NAME TEXT, get NAME, or list'
}

export function run (): i32 {
  outputText(answer(inputText()))
  return 0
}
