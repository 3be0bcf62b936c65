/**
 * Random valid modules from binaryen's own fuzzer: the `wasm-opt -ttf` that comes with the npm
 * package. Its program is compiled once and instantiated for each module, in this process: starting
 * one process a module would take six times as long.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { compileFunction } from 'node:vm'

const require = createRequire(import.meta.url)
const PROGRAM = join(dirname(require.resolve('binaryen')), 'bin', 'wasm-opt')

const FEATURES = [
  'mutable-globals', 'sign-ext', 'nontrapping-float-to-int', 'multivalue', 'bulk-memory', 'bulk-memory-opt', 'reference-types', 'simd', 'tail-call', 'extended-const'
]

/** What the program calls of Emscripten's settings. */
interface Settings {
  instantiateWasm?: (imports: WebAssembly.Imports, receive: (instance: WebAssembly.Instance) => void) => object
  print: (line: string) => void
  printErr: (line: string) => void
}

export class BinaryenModules implements Disposable {
  private readonly directory = mkdtempSync(join(tmpdir(), 'inos-fuzz-'))
  private compiled: WebAssembly.Module | undefined
  private readonly main = compileFunction(readFileSync(PROGRAM, 'utf8').replace(/^#!.*\n/, ''), ['Module', 'require', 'process', 'WebAssembly', '__filename', '__dirname'])

  /**
   * A valid module made from random bytes.
   * @param denan whether it turns every NaN into zero, so that no bit of one can be seen
   */
  async make (bytes: Uint8Array, denan: boolean): Promise<Uint8Array<ArrayBuffer>> {
    const input = join(this.directory, 'input')
    const output = join(this.directory, 'output.wasm')
    writeFileSync(input, bytes)
    const features = ['--mvp-features', ...FEATURES.map(name => `--enable-${name}`)]
    const code = await this.run([input, '-ttf', ...(denan ? ['--denan'] : []), ...features, '-o', output])
    if (code !== 0) throw new Error(`wasm-opt ended with ${code}`)
    return new Uint8Array(readFileSync(output))
  }

  private run (args: readonly string[]): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const quiet = (): void => {}
    const settings: Settings = { print: quiet, printErr: quiet }
    const { compiled } = this
    if (compiled !== undefined) {
      settings.instantiateWasm = (imports, receive) => {
        WebAssembly.instantiate(compiled, imports).then(receive, reject)
        return {}
      }
    }
    const engine = {
      ...Object.fromEntries(Object.getOwnPropertyNames(WebAssembly).map(name => [name, Reflect.get(WebAssembly, name)])),
      instantiate: async (bytes: Uint8Array<ArrayBuffer>, imports: WebAssembly.Imports) => {
        this.compiled = await WebAssembly.compile(bytes)
        return { module: this.compiled, instance: await WebAssembly.instantiate(this.compiled, imports) }
      }
    }
    // It reads its arguments from the process, and the last it does is to leave its exit code there.
    const fake: object = Object.create(process, { argv: { value: ['node', PROGRAM, ...args] }, exitCode: { set: resolve }, on: { value: quiet } })
    this.main(settings, require, fake, engine, PROGRAM, dirname(PROGRAM))
    return promise
  }

  [Symbol.dispose] (): void { rmSync(this.directory, { recursive: true, force: true }) }
}
