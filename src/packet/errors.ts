/**
 * Every way INOS can say no, in one table: the code that travels, the name a program catches,
 * the exit code of the command line, and whether trying again can help.
 *
 * Expected endings of a guest (trap, out of fuel …) are outcomes and become errors only at the
 * library's door; see `OUTCOME_ERRORS`.
 */

interface ErrorKind {
  /** `error.name`, in the style of libp2p. */
  readonly name: string
  /** Exit code of the command line. */
  readonly exit: number
  /** Whether the same call can succeed later or elsewhere. */
  readonly retryable: boolean
}

export const ERROR_KINDS = {
  // usage
  ERR_USAGE: { name: 'UsageError', exit: 64, retryable: false },
  ERR_INTERNAL: { name: 'InternalError', exit: 100, retryable: false },
  // packet and module: decided before anything runs
  ERR_INVALID_MODULE: { name: 'InvalidModuleError', exit: 101, retryable: false },
  ERR_MISSING_EXPORT: { name: 'MissingExportError', exit: 101, retryable: false },
  ERR_UNSUPPORTED_IMPORT: { name: 'UnsupportedImportError', exit: 101, retryable: false },
  ERR_INPUT_TOO_LARGE: { name: 'InputTooLargeError', exit: 101, retryable: false },
  ERR_INVALID_SPEC: { name: 'InvalidSpecError', exit: 101, retryable: false },
  // run: outcomes of a guest
  ERR_TRAP: { name: 'TrapError', exit: 102, retryable: false },
  ERR_OUT_OF_FUEL: { name: 'OutOfFuelError', exit: 103, retryable: false },
  ERR_MEMORY_LIMIT: { name: 'MemoryLimitError', exit: 103, retryable: false },
  ERR_OUTPUT_LIMIT: { name: 'OutputLimitError', exit: 103, retryable: false },
  ERR_STACK_LIMIT: { name: 'StackLimitError', exit: 103, retryable: false },
  // market
  ERR_NO_OFFER: { name: 'NoOfferError', exit: 104, retryable: true },
  ERR_BUSY: { name: 'NoOfferError', exit: 104, retryable: true },
  ERR_POLICY: { name: 'PolicyRefusedError', exit: 104, retryable: false },
  ERR_ALLOWANCE_SPENT: { name: 'PolicyRefusedError', exit: 104, retryable: true },
  ERR_BUDGET: { name: 'BudgetExceededError', exit: 105, retryable: false },
  ERR_INSUFFICIENT_CREDITS: { name: 'InsufficientCreditsError', exit: 105, retryable: true },
  // trust
  ERR_VERIFICATION: { name: 'VerificationError', exit: 106, retryable: true },
  ERR_RECEIPT_INVALID: { name: 'ReceiptInvalidError', exit: 106, retryable: false },
  ERR_RECORD_INVALID: { name: 'RecordInvalidError', exit: 106, retryable: false },
  ERR_WRONG_MESH: { name: 'WrongMeshError', exit: 106, retryable: false },
  // network
  ERR_NOT_REACHABLE: { name: 'NotReachableError', exit: 107, retryable: true },
  ERR_PEER_LOST: { name: 'PeerLostError', exit: 107, retryable: true },
  ERR_BAD_PACKET: { name: 'BadPacketError', exit: 107, retryable: false },
  ERR_UNKNOWN_KIND: { name: 'BadPacketError', exit: 107, retryable: false },
  ERR_NOT_MEMBER: { name: 'NotMemberError', exit: 107, retryable: false },
  ERR_INVITE: { name: 'InviteError', exit: 107, retryable: false },
  ERR_GONE: { name: 'GoneError', exit: 107, retryable: false },
  // executor: host faults, never charged
  ERR_DEADLINE: { name: 'DeadlineError', exit: 108, retryable: true },
  ERR_EXECUTOR_LOST: { name: 'ExecutorLostError', exit: 108, retryable: true },
  // this machine
  ERR_DATA_DIR: { name: 'DataDirectoryError', exit: 100, retryable: false },
  ERR_STORE: { name: 'StoreError', exit: 100, retryable: true },
  ERR_LISTEN: { name: 'ListenError', exit: 107, retryable: false },
  ERR_CANCELLED: { name: 'AbortError', exit: 130, retryable: false }
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof ERROR_KINDS

export interface ErrorDetails {
  /** What the reader can do next, one sentence. */
  hint?: string
  cause?: unknown
  /** What had been tried, oldest first: PeerLost and NoOffer carry it. */
  attempts?: readonly Attempt[]
}

/** One try at one peer. */
export interface Attempt { readonly peer: string, readonly code: string, readonly message: string }

/** The only error class that leaves INOS on purpose. `message` is one whole sentence. */
export class InosError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly hint: string | undefined
  readonly attempts: readonly Attempt[]

  constructor (code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = ERROR_KINDS[code].name
    this.code = code
    this.retryable = ERROR_KINDS[code].retryable
    this.hint = details.hint
    this.attempts = details.attempts ?? []
  }

  get exitCode (): number { return ERROR_KINDS[this.code].exit }
}

/** Whether a string from outside is one of our codes. */
export function isErrorCode (code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_KINDS, code)
}

/**
 * Wrap whatever was thrown. An `InosError` passes through; an `AbortError` becomes
 * `ERR_CANCELLED`; the rest is `ERR_INTERNAL`, its own text kept as the cause only.
 */
export function toInosError (error: unknown): InosError {
  if (error instanceof InosError) return error
  if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) {
    return new InosError('ERR_CANCELLED', 'The work was cancelled.', { cause: error })
  }
  const text = error instanceof Error ? error.message : String(error)
  return new InosError('ERR_INTERNAL', `Something inside this node failed: ${text}`, { cause: error })
}
