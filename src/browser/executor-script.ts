/**
 * Where an executor's program comes from. It is bundled as text into the library, so that a page needs nothing but the library;
 * a page whose policy allows no workers from blob: serves the file `browser-executor.js` of the package and says where.
 */
import script from 'inos:executor'

let url: string | undefined

export function startExecutor (place: string | URL | undefined): Worker {
  // One address for all of them, for as long as the page lives.
  const from = place ?? (url ??= URL.createObjectURL(new Blob([script], { type: 'text/javascript' })))
  return new Worker(from, { name: 'inos executor', type: 'module' })
}
