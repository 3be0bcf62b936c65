/**
 * The certificates of a WebTransport listener. A browser accepts one that no authority signed when it is told its hash and
 * the certificate is of ECDSA P-256 and valid for at most 14 days, so each is one of a sequence. All are computed from the
 * node's identity and the number of their period, signature included (RFC 6979): after a restart they are the same, nothing
 * is stored, and an address told in one period is good to the end of the next.
 */
import { LIMITS } from '../../packet/limits.ts'
import { type Certificate, createCertificate } from '../certificate.ts'

const { periodMs, skewMs } = LIMITS.webTransport

export class Certificates {
  readonly #seed: Uint8Array
  readonly #now: () => number
  readonly #made = new Map<number, Certificate>()

  /** @param seed the node's identity @param now in ms since 1970 */
  constructor (seed: Uint8Array, now: () => number) {
    this.#seed = seed
    this.#now = now
  }

  /** The one to show now. */
  current (): Certificate { return this.#of(this.#period()) }

  /** Hashes for an address: of this period and the next. */
  told (): Uint8Array[] { return [0, 1].map(ahead => this.#of(this.#period() + ahead).hash) }

  /** Hashes that may have been told to somebody who dials now. */
  known (): Uint8Array[] { return [-1, 0, 1].map(ahead => this.#of(this.#period() + ahead).hash) }

  /** ms until another is shown. */
  untilNext (): number { return (this.#period() + 1) * periodMs - this.#now() }

  #period (): number { return Math.floor(this.#now() / periodMs) }

  #of (period: number): Certificate {
    const made = this.#made.get(period) ?? createCertificate({
      seed: this.#seed,
      use: `webtransport/1/${period}`,
      serial: period,
      // Whoever's clock is a day off takes it, too.
      from: new Date(period * periodMs - skewMs),
      to: new Date((period + 1) * periodMs + skewMs)
    })
    this.#made.set(period, made)
    for (const old of this.#made.keys()) if (old < this.#period() - 1) this.#made.delete(old)
    return made
  }
}
