/** What a page and an executor say to each other; the browser copies it from one to the other as it is. */
import type { ErrorCode } from '../packet/errors.ts'
import type { Child, ChildEnd, ModuleReport, Outcome, Run } from '../wasm/runtime.ts'

/** From the page: a job; then what it asked for. Null: it could not be had. */
export type Order =
  | { readonly kind: 'run', readonly run: Omit<Run, 'wasm'>, readonly wasm: Uint8Array | undefined, readonly hasKin: boolean }
  | { readonly kind: 'inspect', readonly wasm: Uint8Array }
  | { readonly kind: 'module', readonly wasm: Uint8Array | null }
  | { readonly kind: 'child', readonly at: number, readonly end: ChildEnd | null }

/** From the executor: `ready` once; of a job what it needs, its children, the one it is suspended for; and how it ended. */
export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'need' }
  | { readonly kind: 'estimate', readonly cpuMs: number }
  | { readonly kind: 'want', readonly at: number, readonly child: Child }
  | { readonly kind: 'wait', readonly at: number }
  | { readonly kind: 'outcome', readonly outcome: Outcome }
  | { readonly kind: 'report', readonly report: ModuleReport }
  | { readonly kind: 'refusal', readonly code: ErrorCode, readonly message: string, readonly hint: string | null }
