/** Where the files of `guest/` are: beside the sources in a checkout, in dist/ as published. */
import { access } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { InosError } from '../src/packet/errors.ts'

/** @param name path below `guest/` @throws {InosError} ERR_INTERNAL when the package is not whole */
export async function guestFile (name: string): Promise<string> {
  for (const folder of ['./guest/', '../guest/']) {
    const file = fileURLToPath(new URL(folder + name, import.meta.url))
    if (await access(file).then(() => true, () => false)) return file
  }
  throw new InosError('ERR_INTERNAL', `The file ${name} of INOS is missing.`, { hint: 'Install the package anew.' })
}
