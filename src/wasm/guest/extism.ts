/**
 * Extism's host functions, module name `extism:host/env`, so that published plug-ins run unmodified. The
 * list and the meanings are those of Extism's kernel and of its runtime's PDK functions (1.x):
 * https://github.com/extism/extism, kernel/src/lib.rs and runtime/src/pdk.rs.
 *
 * The entry is one of the plug-in's exports, `() → i32`; 0 is success. The input is the job's, what
 * `output_set` names last is the result, config is the job's env, variables live as long as the job,
 * and log lines, the text of `error_set` and what is printed to WASI's stdout stand in stderr. There is no HTTP: `http_request` gives 0 and
 * the status stays 0.
 *
 * Where Extism ends a plug-in for a bad handle, this gives 0 or does nothing: a call never ends a
 * guest, except for variables beyond their quota, whose loss a plug-in could not notice.
 */
import { LIMITS } from '../../packet/limits.ts'
import { ByteStore } from './byte-store.ts'
import { ExtismMemory } from './extism-memory.ts'
import type { GuestContext, GuestInterface, GuestSession, HostFunction } from './guest.ts'
import { CALL_COSTS, COSTS } from './wasi-costs.ts'
import { wholeOf } from '../ranges.ts'

const { small, medium, large } = CALL_COSTS
const limits = LIMITS.guest

/** Of the log lines, these levels are asked for: all but trace and debug. */
const LOG_LEVEL = 2

const FUNCTIONS: Readonly<Record<string, HostFunction>> = {
  // memory
  alloc: { type: 'I:I', fuel: large },
  free: { type: 'I:', fuel: medium },
  length: { type: 'I:I', fuel: small },
  length_unsafe: { type: 'I:I', fuel: small },
  load_u8: { type: 'I:i', fuel: small },
  load_u64: { type: 'I:I', fuel: small },
  store_u8: { type: 'Ii:', fuel: small },
  store_u64: { type: 'II:', fuel: small },
  // input, output, error
  input_length: { type: ':I', fuel: small },
  input_offset: { type: ':I', fuel: small },
  input_load_u8: { type: 'I:i', fuel: small },
  input_load_u64: { type: 'I:I', fuel: small },
  output_set: { type: 'II:', fuel: small },
  error_set: { type: 'I:', fuel: small },
  // what surrounds a plug-in
  config_get: { type: 'I:I', fuel: medium },
  var_get: { type: 'I:I', fuel: medium },
  var_set: { type: 'II:', fuel: medium },
  http_request: { type: 'II:I', fuel: small },
  http_status_code: { type: ':i', fuel: small },
  http_headers: { type: ':I', fuel: small },
  get_log_level: { type: ':i', fuel: small },
  log_trace: { type: 'I:', fuel: medium },
  log_debug: { type: 'I:', fuel: medium },
  log_info: { type: 'I:', fuel: medium },
  log_warn: { type: 'I:', fuel: medium },
  log_error: { type: 'I:', fuel: medium }
}

/** What Extism itself adds to the size of a variable: two Rust headers. */
const VARIABLE_BYTES = 48

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** A guest's i64 as an unsigned number. Above 2⁵³ it loses digits, and lies outside of everything anyway. */
function unsigned (value: bigint): number {
  return Number(BigInt.asUintN(64, value))
}

export const extism: GuestInterface = { name: 'extism:host/env', functions: FUNCTIONS, namesResult: true, forgets: true, open }

function open (context: GuestContext): GuestSession {
  const plugin = new Plugin(context)
  const { memory } = plugin
  const log = (address: bigint): undefined => plugin.log(unsigned(address))
  const quiet = (address: bigint): undefined => memory.free(unsigned(address)) as undefined
  return {
    functions: {
      alloc: (length: bigint) => BigInt(memory.alloc(unsigned(length))),
      free: (address: bigint) => memory.free(unsigned(address)) as undefined,
      length: (address: bigint) => BigInt(memory.length(unsigned(address))),
      length_unsafe: (address: bigint) => BigInt(memory.length(unsigned(address))),
      load_u8: (address: bigint) => memory.load8(unsigned(address)),
      load_u64: (address: bigint) => memory.load64(unsigned(address)),
      store_u8: (address: bigint, value: number) => memory.store8(unsigned(address), value) as undefined,
      store_u64: (address: bigint, value: bigint) => memory.store64(unsigned(address), value) as undefined,
      input_length: () => BigInt(memory.inputLength),
      input_offset: () => BigInt(memory.inputAddress),
      input_load_u8: (offset: bigint) => memory.input8(unsigned(offset)),
      input_load_u64: (offset: bigint) => memory.input64(unsigned(offset)),
      output_set: (address: bigint, length: bigint) => plugin.setOutput(unsigned(address), unsigned(length)),
      error_set: (address: bigint) => { plugin.error = unsigned(address); return undefined },
      config_get: (key: bigint) => BigInt(plugin.config(unsigned(key))),
      var_get: (key: bigint) => BigInt(plugin.variable(unsigned(key))),
      var_set: (key: bigint, value: bigint) => plugin.setVariable(unsigned(key), unsigned(value)),
      http_request: () => 0n,
      http_status_code: () => 0,
      http_headers: () => 0n,
      get_log_level: () => LOG_LEVEL,
      log_trace: quiet,
      log_debug: quiet,
      log_info: log,
      log_warn: log,
      log_error: log
    },
    finish: () => plugin.finish()
  }
}

class Plugin {
  readonly memory: ExtismMemory
  /** Block whose text says what went wrong; 0 when nothing did. */
  error = 0
  readonly #context: GuestContext
  readonly #stderr = new ByteStore()
  readonly #variables = new Map<string, Uint8Array>()
  #variableBytes = 0
  #output: readonly [address: number, length: number] = [0, 0]

  constructor (context: GuestContext) {
    this.#context = context
    this.memory = new ExtismMemory(context.run.input instanceof Uint8Array ? context.run.input : wholeOf(context.input), bytes => this.#charge(bytes))
  }

  setOutput (address: number, length: number): undefined {
    const bytes = this.memory.bytes(address, length)
    if (bytes === null) return
    const { outputBytesMax } = this.#context.run.limits
    if (length > outputBytesMax) {
      this.#context.end({ kind: 'output', message: `The guest wrote more than ${outputBytesMax} bytes.` })
      return
    }
    // Copied when the run is over, and paid for now.
    if (this.#charge(length)) this.#output = [address, length]
  }

  /** Address of a config value; the key's block is freed, the value's is the guest's to free. */
  config (key: number): number {
    const name = this.#take(key)
    const { env } = this.#context.run
    return name !== null && Object.hasOwn(env, name) ? this.#give(encoder.encode(env[name])) : 0
  }

  variable (key: number): number {
    const name = this.#take(key)
    const value = name === null ? undefined : this.#variables.get(name)
    return value === undefined ? 0 : this.#give(value)
  }

  /** Takes both blocks; value 0 forgets the variable, a value that is no block changes nothing. */
  setVariable (key: number, valueAddress: number): undefined {
    const name = this.#take(key)
    const length = this.memory.length(valueAddress)
    const value = this.memory.bytes(valueAddress, length)
    if (name === null || (valueAddress !== 0 && length === 0) || !this.#charge(length)) return
    const before = this.#variables.get(name)
    const bytes = this.#variableBytes - (before === undefined ? 0 : before.length + name.length + VARIABLE_BYTES)
    if (value === null || length === 0) {
      this.#variables.delete(name)
      this.#variableBytes = bytes
    } else if (bytes + length + name.length + VARIABLE_BYTES > limits.variableBytesMax) {
      this.#context.end({ kind: 'memory', message: `The plug-in's variables need more than ${limits.variableBytesMax} bytes.` })
    } else {
      this.#variables.set(name, value.slice())
      this.#variableBytes = bytes + length + name.length + VARIABLE_BYTES
    }
    this.memory.free(valueAddress)
  }

  /** Takes the block of a line. */
  log (address: number): undefined {
    const line = this.memory.bytes(address, this.memory.length(address))
    if (line !== null && line.length > 0 && this.#charge(line.length)) this.#say(line)
    this.memory.free(address)
  }

  finish (): ReturnType<GuestSession['finish']> {
    const error = this.memory.bytes(this.error, this.memory.length(this.error))
    if (error !== null && error.length > 0) this.#say(error)
    return { result: this.memory.bytes(...this.#output)?.slice() ?? new Uint8Array(0), stderr: this.#stderr.copy() }
  }

  /** Text of a key, whose block is freed; null when there is none, or no fuel to read it. */
  #take (address: number): string | null {
    const length = this.memory.length(address)
    const bytes = this.memory.bytes(address, length)
    if (bytes === null || length === 0 || length > limits.pathBytesMax || !this.#charge(length * COSTS.bytesPerUnit)) return null
    const text = decoder.decode(bytes)
    this.memory.free(address)
    return text
  }

  #give (content: Uint8Array): number {
    return this.#charge(content.length) ? this.memory.put(content) : 0
  }

  /** One line of stderr, as much of it as is kept. */
  #say (line: Uint8Array): void {
    const room = limits.stderrBytesMax - this.#stderr.size
    this.#stderr.write(this.#stderr.size, line.subarray(0, room))
    if (line.length < room) this.#stderr.write(this.#stderr.size, NEWLINE)
  }

  #charge (bytes: number): boolean {
    return this.#context.charge(BigInt(Math.floor(bytes / COSTS.bytesPerUnit)))
  }
}

const NEWLINE = Uint8Array.of(0x0a)
