/**
 * All limits and defaults in one place, with the relations between them asserted at load.
 * Whoever needs another value passes it as an option; nobody writes a number elsewhere.
 *
 * Units ride last in every name. Credits (µcr) and fuel are bigint.
 */

const KIB = 1024
const MIB = 1024 * KIB

/** 1 credit in µcr. */
export const CREDIT = 1_000_000n
/** A WebAssembly page, in bytes. */
export const PAGE_BYTES = 64 * KIB

export const LIMITS = {
  wire: {
    /** One Packet, encoded. */
    frameBytesMax: 4 * MIB,
    /** Above this a module, input, files archive or result is named by CID between session peers. */
    inlineBytesMax: 64 * KIB,
    /** Everything fetched by CID. */
    blobBytesMax: 96 * MIB,
    blobChunkBytes: 256 * KIB,
    /** Window a session grants: requests in flight and their bytes. */
    windowPacketsMax: 256,
    windowBytesMax: 16 * MIB,
    /** What a session may have queued for a peer that does not read. */
    outboxBytesMax: 32 * MIB,
    /** Requests waiting on this side for a peer's window. */
    requestsQueuedMax: 16_384,
    /** Frames of one tick are written together up to about this many bytes. */
    batchBytesMax: 256 * KIB,
    /** Above it a peer is read more slowly, not refused. */
    packetsPerSecondMax: 200_000,
    streamsPerPeerMax: 32,
    /** Of these streams: blobs on their way to, and from, one peer; blobs served to all. */
    blobsPerPeerMax: 4,
    blobsServedMax: 16,
    /** Jobs of four fields at work for one peer and for all. */
    oneShotsPerPeerMax: 4,
    oneShotsMax: 64,
    connectionsMax: 300,
    recordsPerPacketMax: 64,
    /** Ids, and the names of kinds, codes and profiles. */
    nameBytesMax: 64,
    textBytesMax: 4 * KIB,
    /** A hello must arrive, a frame once begun must end, a drain must come, within these. */
    helloMsMax: 10_000,
    frameMsMax: 30_000,
    stallMsMax: 30_000,
    bytesPerSecondMin: 1 * KIB,
    dialMsMax: 10_000,
    /** A stream that was refused or is leaving may take this long to finish. */
    closeMsMax: 5_000,
    /** How long a second session stream of a peer waits for the first to be dropped. */
    parkMsMax: 5_000,
    /** Provider records are announced anew this often, and this soon after a new peer. */
    provideMs: 600_000,
    provideSettleMs: 2_000,
    /** A peer silent for so long is pinged; silent for as long again, it is cut. */
    pulseMs: 30_000,
    /** Pings under way on one connection, in each direction. */
    pingsMax: 4,
    /** How often the addresses a node was given are tried while it dialled too few. */
    bootstrapMs: 30_000,
    /** Connections one host may open in a second; many nodes may share an address. */
    connectionsPerSecondMax: 64,
    /** Streams of all protocols a peer may open, and what one may send ahead of its reader. */
    muxerStreamsMax: 128,
    streamWindowBytesMax: 4 * MIB
  },
  /** What one who has not said who it is may send to a listener for WebSockets: messages, and HTTP headers before them. */
  webSocket: {
    messageBytesMax: 1 * MIB,
    headersBytesMax: 8 * KIB
  },
  /** QUIC, between nodes and under WebTransport. */
  quic: {
    /** Connections that have not shown yet who they are. */
    unsettledMax: 64,
    /** What a new connection, and one stream of it, may send ahead of a reader; and a whole connection later on. */
    firstBytesMax: 1 * MIB,
    firstStreamBytesMax: 256 * KIB,
    windowBytesMax: 32 * MIB,
    /** A UDP packet that fits the paths of the internet. */
    packetBytesMax: 1_350,
    /** Silent for so long, a connection is lost; this often it is seen to that it is not. */
    idleMsMax: 30_000,
    keepMs: 10_000,
    /** The certificate in which a peer shows its key. */
    certificateBytesMax: 8 * KIB
  },
  /** The listener for WebTransport. */
  webTransport: {
    /** A certificate is shown for so long, and valid for that much longer at both ends; its hash is told one period ahead. */
    periodMs: 6 * 86_400_000,
    skewMs: 86_400_000,
    /** Streams before the handshake is over, those of HTTP/3 itself, and what is said on them; header fields of a request. */
    earlyStreamsMax: 10,
    controlStreamsMax: 8,
    controlBytesMax: 64 * KIB,
    headerBytesMax: 4 * KIB
  },
  /** WebRTC between two peers that met through a relay. */
  webRtc: {
    /** Connections straight to a node that have not shown yet who they are. */
    unsettledMax: 32,
    /** What the process that speaks WebRTC may hold for a node that does not take it: more than windows let through, and it ends the connection. */
    heldBytesMax: 64 * MIB,
    /** How long that process may take to listen, and to say who has come; how soon, and at the slowest how often, it is started again. */
    startMsMax: 30_000,
    newcomerMsMax: 5_000,
    /** What it needs to tell peers that it ends. */
    lastMs: 250,
    respawnMsBase: 1_000,
    respawnMsMax: 60_000,
    /** How long the end of a connection waits for the other side to have all that was sent. */
    closeMsMax: 1_000,
    /** How long one look for a direct way may take, how often two peers look, and the pause before the next. */
    riseMsMax: 10_000,
    risesMax: 3,
    againMs: 1_000,
    /** Without a node that uses it, before the native part is cleaned up. */
    idleMs: 3_000
  },
  /** Blobs in chunks: what is put into the store of a node, and fetched from whoever has it. */
  blobs: {
    /** Named and checked by itself; a larger blob has a manifest of its chunks. */
    chunkBytes: 1 * MIB,
    bytesMax: 16 * 1024 * MIB,
    /** Chunks asked for ahead on one stream. */
    windowChunks: 4,
    /** Holders one blob is fetched from at once, and fetches at once. */
    sourcesMax: 8,
    fetchesMax: 8,
    /** A holder that sends nothing for so long is left. */
    stallMsMax: 10_000,
    /** A chunk that a holder did not have is asked for again after this, and one for which it named others that did not give it. */
    retryMs: 250,
    referredMs: 5_000,
    /** Looks for holders that find nobody new, and the pause between them, before a fetch gives up. */
    searchesMax: 4,
    searchMs: 1_000,
    findMsMax: 5_000,
    /** How long a blob that a job names may take to come. */
    gatherMsMax: 3_600_000,
    /** So long a holder remembers to whom it gave a chunk, and so many chunks and blobs, to name that peer to the next. */
    referMs: 600_000,
    givenMax: 16_384,
    /** Addresses named instead of a chunk. */
    addressesMax: 4,
    addressBytesMax: 256,
    /** What a peer that has never paid this node gets in an hour. */
    freeBytesPerPeerHour: 8 * 1024 * MIB,
    /** Manifests that are kept in memory. */
    manifestsMax: 16,
    /** Blobs this node announces; the latest. */
    announcedMax: 128,
    /** Blobs of which it is kept whether they stay and may be given to anybody. */
    labelsMax: 4_096
  },
  spec: {
    argsMax: 1024,
    envMax: 1024,
    /** In one archive, brought along or left. */
    filesMax: 4096,
    /** Paths at or below which files are to come back. */
    outputsMax: 64,
    /** Args, env and outputs together, as UTF-8. */
    textBytesMax: 256 * KIB,
    entryBytesMax: 256,
    fuelMax: 2n ** 53n - 1n,
    memoryPagesMax: 16_384,
    /** Result and archive of files together. */
    outputBytesMax: 64 * MIB,
    inputBytesMax: 96 * MIB,
    /** WASM that a job has computed by others, they again and so on: so many of all levels together, and so many levels below the job. */
    descendantsMax: 16_384,
    levelsMax: 8,
    /** An input or a file that has a manifest is read where it lies; guests count the bytes of an input in 32 bits. */
    storedBytesMax: 2 ** 32 - 1
  },
  /** What a job gets when its caller does not say. */
  job: {
    fuelMax: 10_000_000_000n,
    memoryPagesMax: 4_096,
    outputBytesMax: 16 * MIB,
    /** µcr; above it a caller must set costMax. */
    costMax: 20n * CREDIT,
    /** How long an order binds its payer. */
    orderSeconds: 3_600,
    retries: 3,
    /** A caller's name for a job. */
    keyCharsMax: 128
  },
  /** What a module keeps between two calls. */
  state: {
    /** Pages that are not all zero, and entries of all tables. */
    pagesMax: 1_024,
    tableEntriesMax: 65_536,
    /** Words of 64 bits of globals that change, and segments that can be dropped. */
    slotsMax: 1_024,
    /** Its record, without the pages it names. */
    recordBytesMax: 1 * MIB,
    /** States of calls that ran here, in memory: so many, and so many bytes. */
    cacheEntriesMax: 256,
    cacheBytesMax: 128 * MIB
  },
  /** Actors of one node. */
  actor: {
    actorsMax: 1_024,
    nameCharsMax: 64,
    /** Messages that wait for their turn at one actor. */
    queueMax: 1_024,
    /** A caller's name for a message, and how many of the latest are known again. */
    messageCharsMax: 128,
    messagesKnownMax: 1_024,
    /** A whole state is written after so many messages, or when what changed since comes to more bytes than it has, and at least so many. */
    imageEvery: 256,
    imageBytesMin: 256 * KIB,
    imagesKept: 2,
    /** A history as a file. */
    chainBytesMax: 512 * MIB
  },
  guest: {
    /** Why a guest ended, one line. */
    messageCharsMax: 1_024,
    stderrBytesMax: 64 * KIB,
    fsBytesMax: 64 * MIB,
    fsNodesMax: 8_192,
    descriptorsMax: 1_024,
    /** Directories found open by their bare names. */
    preopensMax: 64,
    pathBytesMax: 4 * KIB,
    /** Buffers of one read or write, subscriptions of one poll. */
    vectorsMax: 1_024,
    /** What an Extism plug-in keeps on the host's side: bytes in blocks, and its variables. */
    hostBytesMax: 64 * MIB,
    hostBlocksMax: 2 ** 18,
    variableBytesMax: 1 * MIB,
    /** What it may have computed where its spec does not say: with all that they have computed again, and levels of those. */
    descendantsMax: 4_096,
    levelsMax: 8,
    /** Children of one guest over its life; inputs and results of those it holds, together; the result of one that asks for no more. */
    childrenMax: 1_024,
    childBytesMax: 64 * MIB,
    childOutputBytes: 64 * KIB
  },
  /**
   * What a module may look like, so that V8's compilers stay within a second and half a gigabyte.
   * Measured on 169 real modules (all pass) and dozens of bombs (none does); see `wasm/admit.ts`.
   */
  module: {
    bytesMax: 96 * MIB,
    typesMax: 2_000,
    /** Values one function, block or tag may take and give. */
    paramsMax: 128,
    resultsMax: 16,
    importsMax: 2_000,
    functionsMax: 700_000,
    globalsMax: 65_536,
    exportsMax: 100_000,
    tagsMax: 65_536,
    /** All tables together at the start, and each one after growth. */
    tableEntriesMax: 2 ** 20,
    /** Each may grow to `tableEntriesMax`, and all of them together have to fit an executor. */
    tablesMax: 16,
    elementsMax: 2 ** 20,
    elementSegmentsMax: 100_000,
    dataSegmentsMax: 100_000,
    bodyBytesMax: 2 * MIB,
    localsMax: 16_384,
    nestingMax: 8_192,
    branchTableMax: 8_192,
    /** block, loop, if, else and try_table of one function. */
    blocksMax: 65_536,
    /** Params plus results over all calls of one function. */
    callValuesMax: 262_144,
    /** Slots (params, locals, operands) times blocks, and times branch edges. */
    functionSlotBlocksMax: 8_000_000,
    functionSlotEdgesMax: 64_000_000,
    moduleSlotBlocksMax: 128_000_000,
    moduleSlotEdgesMax: 512_000_000
  },
  executor: {
    /** Memory of one executor process; RLIMIT_DATA is higher by V8's code range, which is reserved and counts there, but hardly touched. */
    dataBytesMax: 1_792 * MIB,
    codeRangeBytes: 512 * MIB,
    /** Lease = base + estimate · estimateFactor + fuelMax · nanosecondsPerFuel. */
    leaseMsBase: 5_000,
    leaseEstimateFactor: 10,
    leaseNanosecondsPerFuel: 10,
    leaseMsPerStoredMB: 100,
    /** The estimate until the executor knows better: every byte of a module taken as code (engine.md's formula). */
    estimateMsPerMB: 55,
    /** An estimate above it is a lie of the executor; the admission caps allow about half. */
    estimateMsMax: 30_000,
    moduleCacheMax: 16,
    /** Memories an engine keeps for the next runs, and pages of the largest: clearing more costs as much as new ones. */
    pooledMemoriesMax: 8,
    pooledPagesMax: 16,
    queueMax: 1_024,
    /** Guests that may be suspended for their children beside those that run, and one more for each level below a root (`assembly/executor-turns.ts`). */
    waitingMax: 4,
    /** How long one may be suspended in all: as long as an order binds. */
    waitMsMax: 3_600_000,
    /** How long executors are kept that were needed beside suspended ones. */
    spareMs: 10_000,
    /** Jobs of one payer sent in one go: so many, expected to take so long together, each so small; taken back when they take longer. */
    batchMax: 16,
    batchMsMax: 5,
    /** While no other payer's job waits. */
    batchAloneMsMax: 20,
    batchBytesMax: 16 * KIB,
    recallMs: 50,
    /** V8's heap and its compiled WASM, in MiB, within the process. */
    heapMiBMax: 512,
    codeMiBMax: 512,
    /** Pages of ended guests that may still be uncollected when the next one begins. */
    leftPagesMax: 4_096,
    /** Of a state's pages that an executor holds until the next run, so that they need not be sent again. */
    heldBytesMax: 16 * MIB,
    /** What speed is measured by: warm runs of this length and longer, the latest so many milliseconds of them. */
    speedMsMin: 2,
    speedMsMax: 10_000,
    /** Work that a share of the CPU lets go ahead of its time. */
    shareBurstMs: 1_000,
    /** Resident memory is polled so often where RLIMIT_DATA does not exist. */
    residentMsPoll: 100,
    /** A new executor must say ready within this; so many failures in a row fail the jobs that wait. */
    startMsMax: 10_000,
    startFailuresMax: 5,
    /** After a process is gone its last bytes are at most this far behind. */
    drainMsMax: 100,
    respawnMsBase: 100,
    respawnMsMax: 10_000,
    /** How long a job's module may take to be fetched while an executor waits for it. */
    moduleMsMax: 60_000,
    /** What an executor may burn beside its jobs: a share of all time, a multiple of its modules' estimates up to a maximum, and so much debt. */
    burnMsPoll: 100,
    burnShareFree: 0.1,
    burnEstimateFactor: 4,
    burnCreditMsMax: 20_000,
    burnMsMax: 300,
    /** Where it has to tell itself: an idle executor that burns more than this share of a poll has a compiler running wild. */
    burnMsPollOwn: 1_000,
    burnShareMax: 0.5,
    /** Header and body of an order, a backstop behind the checks of a job. */
    orderHeaderBytesMax: 128 * MIB,
    orderBodyBytesMax: 512 * MIB,
    /** Headers of an answer and of a report, parts of a frame, one line of text, stderr kept for diagnosis. */
    answerBytesMax: 64 * KIB,
    /** More of a header where a state comes along. */
    stateHeaderBytesMax: 1 * MIB,
    reportBytesMax: 4 * MIB,
    partsMax: 5_200,
    messageLengthMax: 1_024,
    diagnosticBytesMax: 64 * KIB
  },
  browser: {
    /** How long a tab waits for the one before it to give its identity up, as after a reload. */
    lockMsMax: 3_000,
    /** Blobs of a tab together, and memory of one job there: browsers give a page less than a machine has. */
    blobsBytesMax: 512 * MIB,
    memoryPagesMax: 8_192
  },
  credits: {
    /** One line and the pool of all strangers, µcr; the pool refills per hour. */
    strangerLineMax: 200n * CREDIT,
    strangerPoolMax: 1_000n * CREDIT,
    strangerPoolPerHour: 100n * CREDIT,
    /** What this node promises all new sellers together, µcr, the refill per hour, and what makes one known: as much sold here as one line. */
    sellerPoolMax: 1_000n * CREDIT,
    sellerPoolPerHour: 100n * CREDIT,
    sellerEvidence: 200n * CREDIT,
    amountMax: 2n ** 62n - 1n,
    itemsPerChequeMax: 1_024,
    /** Rows the database gathers before it sorts them into a file; most of a job's rows are gone by then. */
    storeBufferBytes: 16 * MIB,
    /** Jobs in a row are paid together this often: two syncs to disk for each cheque take longer than a small job. */
    chequeMsMin: 20,
    /** Cheques that may wait for their ack on one lane; then no new one is written. */
    unackedChequesMax: 64,
    /** Receipts not yet paid, of one peer and of all: what an unpaid book takes in memory. */
    unpaidPerPeerMax: 16_384,
    unpaidMax: 131_072,
    /** Orders of this node that are open at once, and how many of them one sync asks about. */
    openOrdersMax: 65_536,
    /** Keys that callers gave their jobs; of more, the oldest that are settled are forgotten. */
    keysMax: 65_536,
    /** Keys of children, beside those of callers: as many as one job may have descendants. */
    childKeysMax: 16_384,
    ordersPerSyncMax: 1_024,
    /** Questions to one peer whose answers are awaited, and peers that have answered since the start. */
    questionsMax: 128,
    syncedPeersMax: 4_096,
    /** Lost records that one answer brings back: cheques, receipts and replicas, so many and so many bytes of each. */
    recordsPerSyncMax: 256,
    recordsPerSyncBytes: 768 * KIB,
    /** Latest cheques kept for others: lanes of one author and of all, and how many peers keep one of this node's. */
    replicasPerPeerMax: 16,
    replicasMax: 1_024,
    keepersMax: 2,
    /** A changed lane is handed to its keepers this much later, with all that changed meanwhile. */
    replicaMsMin: 3_000,
    /** Offers whose signature is remembered as checked. */
    offersKnownMax: 256,
    /** Records under one signature; each carries one hash for each doubling. */
    recordsPerSealMax: 256,
    /** Signatures over batches remembered as checked. */
    signaturesKnownMax: 1_024,
    /** Orders remembered as never run here, between the look at the disk and the run. */
    unsoldMax: 1_024,
    /** A receipt file. */
    bundleBytesMax: 64 * KIB,
    /** Receipt files of a job and of all below it, together. */
    treeBytesMax: 64 * MIB,
    /** Rows that may wait for the disk before commands wait, too. */
    rowsWaitingMax: 8_192,
    /** Rows of an import written at once. */
    rowsPerBatchMax: 1_000,
    /** A proof of fraud: two cheques of full length; and how many are kept against one peer. */
    fraudBytesMax: 512 * KIB,
    fraudsPerPeerMax: 16,
    /** Orders given up that their sellers are to be told of by themselves; the oldest are told only when their receipts are shown. */
    untoldMax: 65_536,
    /** Answered orders that a payer gave up narrow its line, until it has paid this many times as much. */
    waivedFactor: 10n,
    /** How long after an order's expiry its receipt may still come before the hold is released. */
    graceSeconds: 600,
    /** Free fuel for peers of four fields. */
    freeFuelPerPeerHour: 1_000_000_000n,
    freeFuelPerHour: 10_000_000_000n,
    /** How long a peer may take to answer a cheque, a sync or a receipt; what it leaves unanswered waits for the next contact. */
    answerMsMax: 30_000,
    /** Cheques shown to the issuer of a mesh in one packet. */
    claimBytesMax: 2 * MIB,
    /** How long a buyer that leaves waits for its last acknowledgement. */
    leaveMsMax: 5_000
  },
  market: {
    /** How long an offer binds its executor; renewed half-way. */
    offerSeconds: 3_600,
    /** Earlier offers of its own that a node still honours. */
    ownOffersMax: 64,
    /** How often a node that takes work looks at its own load, and at the soonest signs a changed offer. */
    measureMs: 2_000,
    /** What a node sets no price for moves at most one step in this time; a step is a quarter of the list. */
    priceMs: 10_000,
    priceQuartersMin: 2,
    priceQuartersMax: 5,
    /** Work at hand per slot, in percent, below which the price falls and above which it rises. */
    idlePercent: 25,
    busyPercent: 75,
    /** A speed or a free disk is said anew when it has changed by this much. */
    changePercent: 25,
    /** Answers to a peer with many jobs here leave together, so far apart at the least and at the most, once so many were done that it is known how fast. */
    roundMsMin: 20,
    roundMsMax: 100,
    roundSamples: 16,
    /** Before anything is known: the time there and back, and how fast a slot is. */
    wayMs: 5,
    fuelPerSecAssumed: 1_000_000_000,
    /** No more is believed: what a bare loop comes to on machines of today. */
    fuelPerSecMax: 10_000_000_000,
    /** With `verify: { audit }` so many answers of a peer are checked before it is a sample. */
    auditedFirst: 3,
    /** What was seen of peers and of modules, how fast it fades, and how soon it is kept. */
    historyPeersMax: 1_024,
    historyModulesMax: 1_024,
    historyHalfMs: 3_600_000,
    wrongHalfMs: 86_400_000,
    /** So much bad, and so many times what went well, puts a peer behind all others, however cheap: by this factor. */
    distrustMin: 8,
    distrustTimes: 4,
    distrustFactor: 1e12,
    historySaveMs: 5_000,
    /** Slower than this counts no more. */
    paceMax: 16,
    /** A job shorter than this, or expected to be, says nothing of a peer's pace: a busy moment on the way there would. */
    paceMsMin: 1_000,
    /** Jobs that are over and still told of; states and choices of one, and candidates of one choice. */
    jobsKeptMax: 1_000,
    jobStepsMax: 64,
    jobRoundsMax: 8,
    jobBidsMax: 32,
    /** Peers whose buying is allowed by name. */
    buyersMax: 1_024,
    /** Nodes found by discovery that a node connects to by itself. */
    discoveredMax: 8,
    /** How long a buyer looks for somebody: who has lost all company and knows others, and everyone else. */
    seekMsMax: 10_000,
    seekMsBrief: 2_000,
    /** Children of one job that are at work at once; the others wait. */
    childrenAtOnceMax: 64,
    /** Orders of one peer at work here, over all its sessions. */
    jobsPerPeerMax: 512,
    /** Inputs and files by reference held in memory for jobs that run or wait, of one peer and of all. */
    inputBytesPerPeerMax: 288 * MIB,
    inputBytesMax: 512 * MIB,
    /** How long a module, input or files archive may take to come from its payer. */
    gatherMsMax: 60_000,
    /** Of a peer's offers that follow another sooner the last is looked at, and only then. */
    offerMsMin: 100,
    /** How soon, and at the slowest how often, a buyer asks again about an order that still runs without it. */
    askMsMin: 500,
    askMsMax: 60_000,
    /** How often a node looks whether its offer needs renewal and what has expired. */
    renewMs: 60_000
  },
  /** A map: when an item counts as a straggler, and how long a node that was lost or slow rests. */
  map: {
    /** Asked at another node as well after this many times the median of those that are done, and never sooner than so many ms. */
    hedgeFactor: 4,
    hedgeMsMin: 500,
    /** Items done before there is a median, and how many of the latest it is of. */
    samplesMin: 3,
    samplesMax: 64,
    /** Items in flight last about so many ms at the rate at which they are done; within these, for each slot of the nodes. */
    aheadMs: 200,
    perSlotMin: 2,
    perSlotMax: 64,
    /** How often running items, and the nodes' slots, are looked at. */
    lookMs: 100,
    /** Of the items in flight, the share that may be asked for twice at once. */
    hedgedShareMax: 0.25,
    /** Doubled each time the same node is lost or slow again. */
    restMsMin: 1_000,
    restMsMax: 30_000,
    /** An item that failed for a passing reason is begun again so often, after pauses that double. */
    roundsMax: 4,
    pauseMs: 250,
    /** The name of a map; its items have keys of the name and their number. */
    nameCharsMax: 100,
    /** After `samplesMin` bought items the others may use so many times the most that any has used, and always so much. */
    needsFactor: 4,
    fuelMin: 2n ** 23n,
    outputBytesMin: 64 * KIB
  },
  /** A private mesh: its records, the exchange of certificates, and what a node keeps of others. */
  mesh: {
    nameCharsMax: 64,
    /** Millionths of a payment that the issuer may keep. */
    feePpmMax: 1_000_000,
    /** Members one invite may bring. */
    inviteCountMax: 1_024,
    /** The text of an invite, and the multiaddrs in it. */
    inviteCharsMax: 8_192,
    routesMax: 8,
    routeCharsMax: 256,
    /** Addresses of members a node remembers. */
    routesKeptMax: 64,
    /** How long an invite and a certificate live unless their issuer says otherwise. */
    inviteSeconds: 7 * 86_400,
    memberSeconds: 10 * 365 * 86_400,
    /** What a member may owe one payee in cheques the issuer has not cleared, and in work under way, µcr, unless the charter says otherwise. */
    offlineMax: 200n * CREDIT,
    /** Grants an issuer may give, over all time: each is remembered, so that none is given twice. */
    grantsMax: 65_536,
    revokedMax: 1_024,
    /** Members a mesh may have, and of whom a node keeps the certificate. */
    membersMax: 1_024,
    /** One message of the exchange, and how long one may take. */
    messageBytesMax: 64 * KIB,
    exchangeMsMax: 10_000,
    /** How long a peer that was refused may take to read why. */
    farewellMs: 1_000,
    /** How long a newcomer others can dial waits for the issuer to do so, where it cannot reach the issuer. */
    callMsMax: 10_000,
    /** How often `up` tries again to reach the issuer that has to let it in. */
    retryMs: 2_000,
    /** Connections that have proven nothing yet, and streams that wait on one of them. */
    strangersMax: 64,
    strangerStreamsMax: 8,
    /** What a relay carries between one newcomer and the issuer before it knows it for a member, and in an hour for all of them. */
    passageBytesMax: 512 * KIB,
    passageBytesPerHour: 4 * MIB,
    /** Exchanges one peer may begin in a minute. */
    exchangesPerMinuteMax: 60
  },
  /** Other nodes: whom a node knows, learns of from peers, and dials by itself. */
  peers: {
    /** Connections it dials for itself, and sessions it opens over them. */
    connectedMin: 8,
    /** Peers it knows, of which some it only heard of; addresses of each, and the length of one. */
    knownMax: 256,
    heardMax: 64,
    addressesMax: 4,
    addressCharsMax: 256,
    /** A peer that was not met for so long is forgotten; one only heard of, after so many vain dials. */
    forgetSeconds: 30 * 86_400,
    heardFailuresMax: 3,
    /** After a vain dial the next one waits so long, twice as long each time, half as much more or less by chance. */
    retryMsMin: 5_000,
    retryMsMax: 3_600_000,
    /** Dials at once, and of peers only heard of in a minute. */
    dialsMax: 4,
    heardDialsPerMinuteMax: 16,
    /** After a change a node looks this much later whom to dial, to greet and to ask. */
    lookMs: 1_000,
    /** One peer is asked for others this often while company is wanted, answers only so often, names so many, and may take so long. */
    askMs: 60_000,
    answerMsMin: 5_000,
    toldMax: 8,
    answerMsMax: 10_000,
    /** The list on disk: its size, how soon after a change it is written, and how exact the time of the last meeting is. */
    fileBytesMax: 1 * MIB,
    saveMs: 5_000,
    metSeconds: 600,
    /** How often nodes of the local network are asked for, where mDNS is on. */
    mdnsMs: 10_000
  },
  /** Nodes that nobody can dial: the dial back that tells, relays and what they carry, hole punching. */
  relay: {
    /** Reservations a relay gives, and how long one lasts unless it is renewed. */
    reservationsMax: 128,
    reservationMs: 3_600_000,
    /** Relayed connections at once: those one peer has opened, and those to one peer. */
    openedPerPeerMax: 16,
    heldPerPeerMax: 32,
    /** One relayed connection: bytes in both directions together, and its time. */
    bytesMax: 4_096 * MIB,
    connectionMsMax: 24 * 3_600_000,
    /** Carried for nothing in an hour, for one peer and for all. */
    freeBytesPerHour: 8 * MIB,
    freeBytesAllPerHour: 256 * MIB,
    /** Who may send less than this without paying is asked to pay; a payment buys so much, beside what was carried ahead of it. */
    lowBytes: 4 * MIB,
    sliceBytes: 16 * MIB,
    /** Carried ahead of a payment that is on its way; beyond it, the relayed connections of that peer are closed. */
    aheadBytesMax: 32 * MIB,
    /** How long a payment may take, and how soon one that failed is asked for again. */
    tollMsMax: 30_000,
    /** The dearest relay a node uses, µcr per KiB. */
    perKiBMax: 1_000n,
    /** Relays a node holds reservations at, how soon one that refused is asked again, and how long an answer may take. */
    relaysMin: 2,
    retryMs: 30_000,
    reserveMsMax: 10_000,
    /** Peers that are asked to dial back, ports each may be asked for, how long that may take, and how often it is asked anew. */
    askedMax: 3,
    portsMax: 4,
    dialBackMsMax: 5_000,
    askAgainMs: 600_000,
    /** One peer is answered this often; so many are dialled back at once. */
    dialBackMsMin: 2_000,
    dialBacksMax: 8,
    /** Tries of a hole punch, how long one may take, and the pause between two dials of one try. */
    punchesMax: 3,
    punchMsMax: 5_000,
    redialMs: 100,
    /** Own addresses as others saw them that are kept for hole punching. */
    seenMax: 4,
    /** How often a relayed connection that a direct one has replaced is looked at until it is not used any more. */
    drainMs: 1_000
  },
  /** Routers that are asked to forward ports. */
  upnp: {
    /** How long they have to come forward, how many are looked at, and how much each may say. */
    searchMs: 3_000,
    answersMax: 8,
    bytesMax: 64 * KIB,
    /** How long one answer, and taking everything back at the stop, may take. */
    answerMsMax: 5_000,
    stopMsMax: 1_000,
    /** How long a port is forwarded unless that is renewed, which it is after half of it; after a failure it is tried again so soon. */
    leaseSeconds: 3_600,
    retryMs: 300_000
  },
  /** Results kept in memory, to be given again: in all, and for one, with what belongs to it. */
  cache: {
    entriesMax: 4_096,
    bytesMax: 64 * MIB,
    entryBytesMax: 8 * MIB
  },
  store: {
    /** Modules and results cached on disk. */
    blobsBytesMax: 2_048 * MIB,
    /** The least that they can be given. */
    blobsBytesMin: 128 * MIB,
    repliesMax: 10_000,
    repliesBytesMax: 512 * MIB
  },
  /** The control socket of a data directory, and the command line. */
  control: {
    /** One request: module, input and files archive, with room for their names. */
    bodyBytesMax: 290 * MIB,
    /** One frame of an answer: the largest result with its receipt. */
    frameBytesMax: 130 * MIB,
    /** Requests worked on at once, their bodies together, and how many wait for their turn. */
    requestsMax: 64,
    bodiesBytesMax: 1_024 * MIB,
    waitingMax: 1_024,
    /** A request's body must arrive, a node asked who it is must answer, within these. */
    bodyMsMax: 60_000,
    answerMsMax: 10_000,
    /** Unix socket paths end at 104 bytes on some systems; longer ones move to the temporary directory. */
    pathBytesMax: 100,
    /** How often a command looks again whether the data directory is free, also after it said that it waits. */
    retryMs: 50,
    retryLateMs: 250,
    noticeMs: 1_000,
    /** Events of `up --json` that may wait for a reader; further ones are dropped. */
    eventsMax: 1_024,
    /** Without a terminal, a long job says once per this time what it waits for. */
    statusMs: 10_000,
    /** How often a map's progress is drawn anew. */
    progressMs: 200,
    /** A result up to this size stands in `run --json`. */
    jsonResultBytesMax: 1 * MIB
  },
  /** What a node tells Prometheus on its own machine; the port is the one OpenTelemetry's exporters use. */
  metrics: {
    port: 9_464,
    requestMsMax: 10_000,
    connectionsMax: 16
  },
  /** The page of a node and its local API. */
  dashboard: {
    port: 7_467,
    /** The head of a request and its body must arrive within this. */
    requestMsMax: 60_000,
    connectionsMax: 64,
    /** Requests worked on at once, their bodies together, and how many wait. */
    requestsMax: 32,
    bodiesBytesMax: 256 * MIB,
    waitingMax: 64,
    /** A module with its input, as JSON. */
    bodyBytesMax: 128 * MIB,
    /** Entries of a list that one answer has, the latest. */
    itemsMax: 10_000,
    /** Pages that listen, events kept for those that come back, and what may wait for a page that does not read. */
    streamsMax: 16,
    eventsMax: 4_096,
    backlogBytesMax: 4 * MIB,
    pulseMs: 15_000
  },
  /** A mesh of the test kit, in one process. */
  testing: {
    nodesMax: 1_024,
    /** How long one call may take, on the clock of that mesh. */
    callMsMax: 3_600_000
  }
} as const

/** Price list of a node that sets none, µcr. 1 credit buys 10⁹ fuel. */
export const DEFAULT_PRICES = {
  base: 100n,
  perMFuel: 1_000n,
  perPageSec: 100n,
  perKiB: 100n,
  perMB: 1_000n,
  perGiBh: 10_000n
} as const

/** What a relay charges per MiB that it carries beyond what is free, µcr; rounded up to whole µcr per KiB. */
export const DEFAULT_RELAY_PRICE = 10_240n

/** What a node charges, µcr; the fields of an offer. */
export type PriceList = { -readonly [K in keyof typeof DEFAULT_PRICES]: bigint }

function relate (holds: boolean, relation: string): void {
  if (!holds) throw new Error(`limits contradict each other: ${relation}`)
}

const { wire, spec, job, executor, credits, control } = LIMITS
relate(LIMITS.blobs.chunkBytes + 4 * KIB < wire.frameBytesMax, 'a chunk fits a frame')
relate(LIMITS.blobs.bytesMax / LIMITS.blobs.chunkBytes * 32 + KIB < LIMITS.blobs.chunkBytes, 'a manifest fits a chunk')
relate(LIMITS.blobs.windowChunks * LIMITS.blobs.chunkBytes <= wire.streamWindowBytesMax, 'what is asked for ahead fits the window of a stream')
relate(LIMITS.blobs.addressesMax * LIMITS.blobs.addressBytesMax < wire.frameBytesMax, 'the addresses of other holders fit a frame')
relate(LIMITS.module.bytesMax <= wire.blobBytesMax, 'every module can be fetched')
relate(2 * wire.batchBytesMax <= LIMITS.webSocket.messageBytesMax, 'what is written together fits a message')
relate(LIMITS.webTransport.periodMs + 2 * LIMITS.webTransport.skewMs <= 14 * 86_400_000, 'browsers take a certificate of which only the hash is known')
relate(2 * LIMITS.quic.keepMs < LIMITS.quic.idleMsMax, 'one lost packet does not end a connection')
relate(wire.streamWindowBytesMax < LIMITS.quic.windowBytesMax, 'a stream that is not read leaves room to others')
relate(wire.inlineBytesMax * 4 < wire.frameBytesMax, 'a frame holds inline module, input, files and result')
relate(wire.blobChunkBytes + 4 * KIB < wire.frameBytesMax, 'a chunk of a blob fits a frame')
relate(wire.windowBytesMax >= wire.frameBytesMax, 'one frame fits the window')
relate(wire.outboxBytesMax >= wire.windowBytesMax + wire.frameBytesMax, 'a full window and an answer fit the outbox')
relate(wire.blobsPerPeerMax + wire.oneShotsPerPeerMax + 2 <= wire.streamsPerPeerMax, 'a session, its rival, blobs and jobs of four fields fit a peer’s streams')
relate(wire.streamsPerPeerMax < wire.muxerStreamsMax, 'packets leave streams to identify, ping and the DHT')
relate(wire.parkMsMax < wire.helloMsMax, 'a parked stream is taken up before its opener gives up')
relate(2 * spec.inputBytesMax <= LIMITS.market.inputBytesPerPeerMax && LIMITS.market.inputBytesPerPeerMax <= LIMITS.market.inputBytesMax, 'input and files of one job fit the memory for inputs')
relate(LIMITS.market.offerMsMin < LIMITS.market.measureMs, 'no changed offer comes too soon')
relate(LIMITS.market.priceQuartersMin <= 4 && 4 <= LIMITS.market.priceQuartersMax, 'the list itself is a step')
relate(LIMITS.market.roundMsMin < LIMITS.market.roundMsMax && 2 * LIMITS.market.roundMsMax <= LIMITS.map.aheadMs, 'a map has as much ahead as two rounds of answers')
relate(LIMITS.market.jobsPerPeerMax >= wire.windowPacketsMax, 'a full window of jobs is taken')
relate(wire.blobBytesMax <= LIMITS.store.blobsBytesMin && LIMITS.store.blobsBytesMin <= LIMITS.store.blobsBytesMax, 'any blob that is fetched whole fits the smallest cache')
relate(spec.outputBytesMax <= wire.blobBytesMax, 'every result, and every archive of files a guest leaves, can be fetched')
relate(spec.outputBytesMax <= spec.inputBytesMax, 'the files one job leaves can be brought along by the next')
relate(spec.inputBytesMax <= wire.blobBytesMax, 'every input can be fetched')
relate(LIMITS.state.pagesMax * PAGE_BYTES + 2 * LIMITS.state.recordBytesMax <= wire.blobBytesMax, 'every change of a state can be fetched')
relate(2 * spec.inputBytesMax + LIMITS.state.pagesMax * PAGE_BYTES + LIMITS.state.recordBytesMax <= LIMITS.market.inputBytesPerPeerMax, 'input, files and state of one job fit the memory for inputs')
relate(spec.memoryPagesMax * 34 + LIMITS.state.tableEntriesMax * 5 + LIMITS.state.slotsMax * 13 + KIB <= LIMITS.state.recordBytesMax, 'every state fits its record')
relate(job.memoryPagesMax <= spec.memoryPagesMax, 'default memory within the limit')
relate(4 + LIMITS.guest.preopensMax < LIMITS.guest.descriptorsMax, 'streams and preopens leave descriptors free')
relate(wire.blobBytesMax + 2 * spec.inputBytesMax + LIMITS.state.pagesMax * PAGE_BYTES + LIMITS.state.recordBytesMax <= executor.orderBodyBytesMax, 'module, input, files and state fit an order')
relate(executor.partsMax >= spec.filesMax + LIMITS.state.pagesMax + 4, 'a run with all its files and pages fits a frame')
relate((spec.memoryPagesMax + executor.leftPagesMax) * PAGE_BYTES + executor.codeMiBMax * MIB <= executor.dataBytesMax, 'an executor can give every memory it accepts, beside its code')
relate(job.outputBytesMax <= spec.outputBytesMax, 'default output within the limit')
relate(LIMITS.guest.descendantsMax <= spec.descendantsMax && LIMITS.guest.levelsMax <= spec.levelsMax, 'default descendants within the limit')
relate(LIMITS.guest.childrenMax * 48 + 8 * KIB <= LIMITS.credits.bundleBytesMax, 'a receipt that names all children fits its file')
relate(spec.descendantsMax * 3 * KIB <= LIMITS.credits.treeBytesMax && LIMITS.credits.treeBytesMax <= wire.blobBytesMax, 'a whole tree of receipts fits its file, and can be fetched')
relate(LIMITS.guest.childrenMax * LIMITS.guest.childOutputBytes <= LIMITS.guest.childBytesMax, 'a guest can hold all its children’s results where they are small')
relate(job.costMax <= credits.strangerLineMax, 'one default job fits a stranger’s line')
relate(job.costMax <= LIMITS.mesh.offlineMax, 'a member runs one default job on what is not cleared')
relate(credits.strangerLineMax <= credits.strangerPoolMax, 'one line fits the pool')
relate(credits.strangerLineMax <= credits.sellerEvidence && credits.sellerEvidence <= credits.sellerPoolMax, 'a seller has sold a whole line before it is given one, and can')
relate(credits.itemsPerChequeMax <= credits.unpaidPerPeerMax, 'a full cheque can be earned')
relate(credits.unpaidPerPeerMax <= credits.unpaidMax, 'one peer’s unpaid receipts fit those of all')
relate(credits.itemsPerChequeMax * 128 < wire.frameBytesMax, 'a full cheque fits a frame')
relate(2 * credits.itemsPerChequeMax * 128 < credits.fraudBytesMax, 'two full cheques fit a proof')
relate(credits.ordersPerSyncMax * 64 < wire.frameBytesMax, 'a full sync fits a frame')
relate(credits.openOrdersMax / credits.ordersPerSyncMax < credits.questionsMax, 'all open orders can be asked about at once')
relate(credits.openOrdersMax <= credits.keysMax, 'of more keys than are kept one is settled')
relate(spec.descendantsMax <= credits.childKeysMax, 'all descendants of a job can be kept')
relate(4 * credits.recordsPerSyncBytes < wire.frameBytesMax, 'cheques and replicas of a sync fit a frame beside its orders')
relate(credits.itemsPerChequeMax * 128 <= credits.recordsPerSyncBytes, 'any one cheque can be brought back')
relate(credits.replicasPerPeerMax <= credits.recordsPerSyncMax, 'replicas come back in one answer')
relate(credits.itemsPerChequeMax * 128 < credits.claimBytesMax && credits.claimBytesMax < wire.frameBytesMax, 'a full cheque fits a claim, and a claim a frame')
relate(LIMITS.store.repliesBytesMax >= wire.frameBytesMax, 'the store keeps any one reply')
relate(8 * LIMITS.cache.entryBytesMax <= LIMITS.cache.bytesMax, 'one result does not push out all others')
relate(LIMITS.mesh.revokedMax * 34 + 8 * KIB < LIMITS.mesh.messageBytesMax, 'a full list of revoked members, a charter and a certificate fit one message')
relate(LIMITS.mesh.routesMax * LIMITS.mesh.routeCharsMax * 4 / 3 + 2_048 < LIMITS.mesh.inviteCharsMax, 'an invite holds all its routes')
relate(LIMITS.map.nameCharsMax + `/${Number.MAX_SAFE_INTEGER}`.length <= job.keyCharsMax, 'an item’s number fits its key beside the name of its map')
relate(LIMITS.map.lookMs < LIMITS.map.hedgeMsMin && LIMITS.map.samplesMin <= LIMITS.map.samplesMax, 'stragglers are looked for often enough, and against a median that exists')
relate(LIMITS.map.needsFactor > 1 && LIMITS.map.fuelMin < job.fuelMax && LIMITS.map.outputBytesMin < job.outputBytesMax, 'default limits are narrowed, and limits that were too little widen')
relate(LIMITS.mesh.strangersMax < wire.connectionsMax, 'strangers leave connections to members')
relate(LIMITS.peers.heardMax < LIMITS.peers.knownMax, 'hearsay leaves places to peers that were met')
relate(LIMITS.peers.knownMax * (LIMITS.peers.addressesMax * (LIMITS.peers.addressCharsMax + 8) + 256) < LIMITS.peers.fileBytesMax, 'all known peers fit their file')
relate(LIMITS.peers.toldMax <= wire.recordsPerPacketMax, 'an offer of each peer that is told fits a packet')
relate(LIMITS.peers.answerMsMin < LIMITS.peers.askMs, 'whoever asks as often as it may is answered')
relate(LIMITS.peers.connectedMin + LIMITS.mesh.strangersMax < wire.connectionsMax, 'a node can dial for itself, whoever dials it')
relate(LIMITS.mesh.inviteCountMax <= LIMITS.mesh.membersMax, 'whom one invite brings fits a mesh')
relate(6 * LIMITS.mesh.messageBytesMax < LIMITS.mesh.passageBytesMax && LIMITS.mesh.passageBytesMax <= LIMITS.mesh.passageBytesPerHour, 'an exchange of certificates passes a relay')
relate(LIMITS.mesh.passageBytesPerHour < LIMITS.relay.freeBytesPerHour, 'newcomers cost the issuer nothing at its relay')
relate(LIMITS.relay.lowBytes <= LIMITS.relay.freeBytesPerHour && LIMITS.relay.freeBytesPerHour <= LIMITS.relay.freeBytesAllPerHour, 'a new peer is not asked to pay before it has sent anything')
relate(LIMITS.relay.sliceBytes + LIMITS.relay.aheadBytesMax <= spec.outputBytesMax, 'a receipt can say what one payment for relaying buys')
relate(LIMITS.relay.reservationsMax + LIMITS.mesh.strangersMax < wire.connectionsMax, 'reservations leave connections to others')
relate(LIMITS.relay.openedPerPeerMax + LIMITS.relay.heldPerPeerMax + wire.streamsPerPeerMax < wire.muxerStreamsMax, 'relayed connections leave streams to packets')
relate(LIMITS.relay.punchMsMax <= wire.dialMsMax && LIMITS.relay.dialBackMsMax <= wire.dialMsMax, 'no dial on behalf of a peer takes longer than one of its own')
relate(spec.outputsMax * LIMITS.guest.pathBytesMax <= spec.textBytesMax, 'all outputs may be long')
relate(wire.blobBytesMax * 2 + spec.inputBytesMax + spec.textBytesMax < control.bodyBytesMax, 'module, files and input fit one control request')
relate(control.bodyBytesMax <= control.bodiesBytesMax, 'one control request fits the budget of all')
relate(spec.outputBytesMax + LIMITS.credits.treeBytesMax + MIB < control.frameBytesMax, 'a result, its files and its receipts fit a frame of the control socket')
relate(LIMITS.dashboard.bodyBytesMax <= LIMITS.dashboard.bodiesBytesMax && LIMITS.dashboard.streamsMax < LIMITS.dashboard.connectionsMax, 'one request of the dashboard fits the budget of all, and pages that listen leave connections to requests')
