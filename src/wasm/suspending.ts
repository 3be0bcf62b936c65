/** What suspends a guest until a host function is done: JSPI, which TypeScript's types do not know yet and browsers may lack. */
type Callable = (...args: unknown[]) => unknown

export const jspi = WebAssembly as typeof WebAssembly & {
  readonly promising?: (call: Callable) => (...args: unknown[]) => Promise<unknown>
  readonly Suspending?: new (call: (...args: unknown[]) => Promise<unknown>) => WebAssembly.ImportValue
}

/** Whether guests can have stacks of their own; where not, none can wait for other WASM. */
export const CAN_SUSPEND = jspi.Suspending !== undefined && jspi.promising !== undefined
