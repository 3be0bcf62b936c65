/** What the campaign and its processes say to each other. */
export interface HostOptions { readonly role: 'host', readonly dataDir: string, readonly listen: string }
export interface CallerOptions { readonly role: 'caller', readonly dataDir: string, readonly peers: readonly string[] }

export type ToProcess =
  /** Send message `n`, the number it is, under the name of that number. */
  | { readonly do: 'call', readonly n: number }
  | { readonly do: 'connect', readonly address: string }
  | { readonly do: 'migrate', readonly peer: string }
  /** Write the history of the actor into a file. */
  | { readonly do: 'chain', readonly file: string }
  | { readonly do: 'stop' }

export type FromProcess =
  | { readonly said: 'ready', readonly id: string, readonly addresses: readonly string[] }
  | { readonly said: 'reply', readonly n: number, readonly count: number, readonly sum: number, readonly executor: string, readonly repeated: boolean }
  /** What was asked for is done, or why it is not. */
  | { readonly said: 'done', readonly error: string | null }
