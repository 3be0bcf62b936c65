/** Blobs as programs see them: bytes of any size under a name that says what they are. */

export interface BlobProgress {
  /** Bytes that are here and checked, and all. */
  readonly bytes: number
  readonly total: number
}

export interface BlobOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: BlobProgress) => void) | undefined
}

export interface PutOptions extends BlobOptions {
  /** It stays until it is unpinned or removed. @default true */
  pin?: boolean
  /** Announce it, and give it to whoever names it; false: only who is sent a job with it may fetch it. @default true */
  share?: boolean
}

/** A blob in this node's store. */
export interface BlobView {
  /** CIDv1 as text. */
  readonly cid: string
  readonly size: number
  /** Bytes of it that are here. */
  readonly here: number
  readonly pinned: boolean
  /** Whether whoever names it may have it. */
  readonly shared: boolean
}

export interface StoreView {
  /** What all blobs take on this node, and may take. */
  readonly bytes: number
  readonly bytesMax: number
  /** What this node has given others in chunks since it started. */
  readonly givenBytes: number
}

/** A blob in place of its bytes. */
export interface BlobRef {
  /** CIDv1 as text. */
  readonly cid: string
}

export type BlobSource = Uint8Array | string | AsyncIterable<Uint8Array>

export interface Blobs {
  /**
   * Store bytes, a MiB at a time however large they are. Text is stored as UTF-8; a ReadableStream will do as a source.
   * @returns CID as text: of the bytes up to 1 MiB, of a manifest above
   * @throws {InosError} ERR_STORE when there is no room, ERR_INPUT_TOO_LARGE, ERR_CANCELLED
   */
  put (source: BlobSource, options?: PutOptions): Promise<string>
  /**
   * Read a blob from its beginning; what is not here is fetched first, from whoever announced it. Every byte is checked before it comes.
   * @throws {InosError} ERR_GONE when nobody has it, ERR_STORE, ERR_CANCELLED, ERR_USAGE for what is no CID; the stream ends with it
   */
  get (cid: string, options?: BlobOptions): AsyncIterable<Uint8Array>
  /** Blobs of this node; parts of others are not among them. */
  ls (): Promise<BlobView[]>
  /** What the store takes and may take. */
  usage (): StoreView
  /** Fetch what is missing, and let it stay. @throws {InosError} as `get` */
  pin (cid: string, options?: BlobOptions): Promise<void>
  /** It may go when room is needed. */
  unpin (cid: string): Promise<void>
  /** Remove a blob at once, pinned or not; parts that other pinned blobs share stay. @throws {InosError} ERR_GONE when it is not here */
  rm (cid: string): Promise<void>
  /** Remove all that nobody pinned or uses. @returns what went */
  gc (): Promise<{ readonly bytes: number }>
}
