/**
 * Whose child a job is. And children of a job that may have to run again, because its node was killed in the middle: what was
 * bought for them is kept under keys of their own until the job is over, and given again instead of being bought again.
 */
import { keyBelow } from '../credits/keys.ts'
import { type CID, sha256 } from '../packet/cid.ts'
import { toHex } from '../packet/identity.ts'
import type { Rooms } from './rooms.ts'

/** Modules by CID as text, for the children of a job and of its children. @throws {InosError} when it is nowhere, as fetching does */
export type Modules = (cid: string) => Promise<Uint8Array>

/** What is told of a job to whoever computes it as a child. */
export interface Kinship {
  readonly modules: Modules
  /** Order of the job whose child it is; undefined for one that is nobody's. */
  readonly parent: CID | undefined
  /** In whose turn it runs here. */
  readonly payer: string
  /** Where what is bought for it is kept; absent for what will not run again. */
  readonly kept?: KeptChild | undefined
}

/** What was bought for all below one job, when it began to run this time. */
export interface Kin {
  /** What the job is known by. */
  readonly base: string
  /** By key, µcr; nothing for what was begun here. */
  readonly bought: ReadonlyMap<string, bigint>
}

export interface KeptChild { readonly key: string, readonly kin: Kin }

/** @param base what the job is known by: its order, or the key its caller gave it */
export async function openKin ({ credits }: Rooms, base: string): Promise<Kin> { return { base, bought: await credits.boughtBelow(base) } }

/** The same for a caller's key, which may hold anything. */
export function baseOfKey (key: string): string { return toHex(sha256(new TextEncoder().encode(key))) }

/** Under which key the order of a child that runs here is kept. */
export function ownKey ({ key }: KeptChild): string { return `${key}/own` }

/** Whether a child that runs here bought something when it ran before: that is given again here, and nowhere else. */
export function isBegun (kept: KeptChild): boolean { return kept.kin.bought.has(ownKey(kept)) }

/** A child is the same if it is for the same order, started as the same one of its children, with the same spec. */
export function keyOfChild ({ base }: Kin, parent: CID, at: number, spec: CID): string { return keyBelow(base, `${parent}/${at}/${spec}`) }
