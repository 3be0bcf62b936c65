/** The JavaScript engine for guests: a build of its own, which CI makes and other machines may lack. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const QUICKJS = fileURLToPath(new URL('../guest/javascript/quickjs.wasm', import.meta.url))

/** Options of a test that needs it. */
export const withQuickJS = { skip: existsSync(QUICKJS) ? false : 'sh guest/javascript/build.sh makes the JavaScript engine' }
