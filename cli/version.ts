/** The version of the package this file belongs to, whether it runs from source or as published. */
import { readFileSync } from 'node:fs'

export function packageVersion (): string {
  for (const folder of ['./', '../', '../../']) {
    try {
      const found: unknown = JSON.parse(readFileSync(new URL(`${folder}package.json`, import.meta.url), 'utf8'))
      if (typeof found === 'object' && found !== null && 'version' in found) return String(found.version)
    } catch {
      // Not in this folder; the next one up is tried.
    }
  }
  return 'unknown'
}
