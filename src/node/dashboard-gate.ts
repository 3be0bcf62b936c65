/**
 * Who may ask the dashboard's server for what, decided from a request's head alone, before a byte of its body is read.
 * A page of another site reaches loopback with a user's browser, so a name, an origin and a token must all be right;
 * what is asked is checked by whoever answers it.
 */
import { Buffer } from 'node:buffer'
import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { LIMITS } from '../packet/limits.ts'

export interface Ask { readonly method: string, readonly path: string, readonly headers: IncomingHttpHeaders }

/** How a path may be asked: files of the page are no secret. */
export interface Route { readonly method: 'GET' | 'POST', readonly open: boolean }

export interface Door {
  readonly port: number
  readonly token: string
  route (path: string): Route | null
}

/** The header that carries the token: no page of another origin can send it unasked. */
export const TOKEN_HEADER = 'x-inos-token'
const NAMES = ['127.0.0.1', 'localhost', '[::1]']

/**
 * The status a request is refused with, null for none. In this order: 403 a Host or Origin that is not this server's,
 * 404 no such path, 405 another method, 401 no token, 415 no JSON, 411 no length, 413 too long.
 */
export function refusalOf ({ method, path, headers }: Ask, { port, token, route }: Door): number | null {
  if (!NAMES.some(name => headers.host === `${name}:${port}`)) return 403
  if (headers.origin !== undefined && headers.origin !== `http://${headers.host}`) return 403
  const found = route(path)
  if (found === null) return 404
  if (found.method !== method) return 405
  if (!found.open && !isToken(headers[TOKEN_HEADER], token)) return 401
  return method === 'POST' ? bodyRefusal(headers) : null
}

function bodyRefusal (headers: IncomingHttpHeaders): number | null {
  if (!/^application\/json(; ?charset=utf-8)?$/i.test(headers['content-type'] ?? '')) return 415
  if (headers['content-length'] === undefined) return 411
  return Number(headers['content-length']) > LIMITS.dashboard.bodyBytesMax ? 413 : null
}

function isToken (given: string | string[] | undefined, token: string): boolean {
  if (typeof given !== 'string') return false
  const [left, right] = [Buffer.from(given), Buffer.from(token)]
  return left.length === right.length && timingSafeEqual(left, right)
}
