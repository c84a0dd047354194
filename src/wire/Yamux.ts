/**
 * The server's side of a yamux session: many streams over one connection, opened by the client.
 *
 * - Bytes go in by `receive`, however they were split, and out by `send`, what one turn wrote in one piece of at most 32 KiB.
 * - A stream has a window of 256 KiB each way. The client gets credit when the data is consumed, so a slow reader of one
 *   stream holds up that stream alone.
 * - There are at most `maxStreams`; a further one is refused with a reset, and the session goes on.
 * - At most `maxQueuedBytes` are queued for the client in all; more than that ends the session.
 * - A frame that breaks the protocol ends this session and no other. Frames for unknown streams are ignored, and so is data
 *   after an end or a reset.
 * - An end is sent once, never together with data, because a second one would end the session of the client.
 * - The end of the session resets its streams.
 */
import * as Frame from "./YamuxFrame.ts"
import { type Carrier, Stream, type StreamReceiver } from "./YamuxStream.ts"

export interface Options {
  /** Streams at a time. Default 1 024, at least 256: a client may open as many before the first is acknowledged. */
  readonly maxStreams?: number | undefined
  /** Bytes written to streams and waiting for the client's windows, in all. Default 16 MiB. */
  readonly maxQueuedBytes?: number | undefined
}

/** Why a session has ended. */
export type EndReason = Frame.Violation | "client gone away" | "queue full" | "failure of the service" | "closed"

/** The neighbours of a session: the connection beneath it and the streams above. */
export interface Peers {
  /** Writes to the connection. Called once a turn and with 32 KiB at most. */
  readonly send: (bytes: Uint8Array) => void
  /** Takes a stream that the client has opened. */
  readonly accept: (stream: Stream) => StreamReceiver
  /** Called once, when the session has ended and its streams were reset. */
  readonly ended: (reason: EndReason) => void
  /** Called for each stream that is refused because there are too many. */
  readonly refused: () => void
}

/** The time between two sweeps of a session, in milliseconds. */
export const sweepInterval = 15_000

/** How long a stream may be closed on one side only, in milliseconds. */
const closeTimeout = 300_000

/** The bytes of one `send`. */
const maxSendBytes = 32_768

/** The bytes that a turn may write before they are sent, so that the network shows when the client takes nothing. */
const maxOutputBytes = 131_072

export class Session implements Carrier {
  readonly #peers: Peers
  readonly #maxStreams: number
  readonly #maxQueuedBytes: number
  readonly #streams = new Map<number, Stream>()
  readonly #decoder: Frame.Decoder
  #output: Array<Uint8Array> = []
  #outputBytes = 0
  #unacknowledged: Array<Stream> = []
  #queuedBytes = 0
  /** The stream of the body that is being read; `undefined` where it is dropped. */
  #reading: Stream | undefined
  #endsWithBody = false
  #isDraining = false
  #isReceiving = false
  #endReason: EndReason | undefined
  #pingValue = 0
  #pings: Map<number, () => void> | undefined
  #frames = 0
  #answers = 0

  constructor(peers: Peers, options: Options = {}) {
    this.#peers = peers
    this.#maxStreams = Math.max(options.maxStreams ?? 1_024, 256)
    this.#maxQueuedBytes = options.maxQueuedBytes ?? 16 * 1024 * 1024
    this.#decoder = Frame.makeDecoder({
      header: (type, flags, streamId, length) => this.#header(type, flags, streamId, length),
      body: (part, isLast) => this.#body(part, isLast)
    })
  }

  /** The streams that are open now. */
  get size(): number {
    return this.#streams.size
  }

  /** The number of frames that the client has sent. */
  get frames(): number {
    return this.#frames
  }

  /** The number of pings that the client has answered. */
  get answers(): number {
    return this.#answers
  }

  /** Reads what has arrived, and sends what all of it has caused. */
  receive(...chunks: ReadonlyArray<Uint8Array>): void {
    if (this.#endReason !== undefined) return
    this.#isReceiving = true
    let violation: Frame.Violation | undefined
    for (const chunk of chunks) violation ??= this.#decoder.decode(chunk)
    this.#isReceiving = false
    if (violation === undefined) return this.flush()
    this.#emit(Frame.Type.goAway, Frame.Flag.none, 0, Frame.GoAway.protocolError)
    this.flush()
    this.close(violation)
  }

  /** Sends what was written, or leaves it to the end of the turn that reads. */
  flush(): void {
    if (this.#isReceiving) return
    for (const stream of this.#unacknowledged) stream.acknowledge()
    this.#unacknowledged.length = 0
    this.#send()
  }

  /** Sends a ping; `answered` is called when the client has answered. Returns what forgets it. */
  ping(answered: () => void): () => void {
    const value = this.#pingValue++
    this.#pings ??= new Map()
    this.#pings.set(value, answered)
    this.#emit(Frame.Type.ping, Frame.Flag.syn, 0, value)
    this.flush()
    return () => this.#pings?.delete(value)
  }

  /** Tells the client to open no more streams. Those that are open go on. */
  drain(): void {
    if (this.#isDraining || this.#endReason !== undefined) return
    this.#isDraining = true
    this.#emit(Frame.Type.goAway, Frame.Flag.none, 0, Frame.GoAway.normal)
    this.flush()
  }

  /** Ends the session and resets its streams. Nothing is sent: the connection has to be closed. */
  close(reason: EndReason): void {
    if (this.#endReason !== undefined) return
    this.#endReason = reason
    this.#output = []
    this.#outputBytes = 0
    this.#unacknowledged = []
    this.#pings = undefined
    const streams = [...this.#streams.values()]
    this.#streams.clear()
    this.#reading = undefined
    for (const stream of streams) stream.resetByPeer()
    this.#peers.ended(reason)
  }

  /**
   * Resets streams that an earlier sweep saw closed on one side only, {@link closeTimeout} or longer ago. `now` is in
   * milliseconds.
   */
  sweep(now: number): void {
    for (const stream of this.#streams.values()) stream.sweep(now, closeTimeout)
    this.flush()
  }

  /** Meant for the session's streams. */
  emitFor(stream: Stream, type: number, flags: number, length: number, body?: Uint8Array): void {
    const withAck = stream.takeAck() ? flags | Frame.Flag.ack : flags
    this.#emit(type, withAck, stream.id, length, body)
  }

  /** Meant for the session's streams. */
  countQueued(bytes: number): void {
    this.#queuedBytes += bytes
    if (this.#queuedBytes > this.#maxQueuedBytes) this.close("queue full")
  }

  /** Meant for the session's streams. */
  forget(id: number): void {
    const stream = this.#streams.get(id)
    if (stream === this.#reading) this.#reading = undefined
    this.#streams.delete(id)
  }

  #emit(type: number, flags: number, streamId: number, length: number, body?: Uint8Array): void {
    if (this.#endReason !== undefined) return
    const frame = Frame.encode({ type, flags, streamId, length }, body)
    this.#output.push(frame)
    this.#outputBytes += frame.length
    if (this.#outputBytes > maxOutputBytes) this.#send()
  }

  #send(): void {
    while (this.#outputBytes > 0) this.#peers.send(this.#takeOutput())
  }

  /** The next bytes to send: one frame as it is, or what fits of several. */
  #takeOutput(): Uint8Array {
    const output = this.#output
    if (output.length === 1) {
      this.#output = []
      this.#outputBytes = 0
      return output[0]!
    }
    const bytes = new Uint8Array(Math.min(this.#outputBytes, maxSendBytes))
    let offset = 0
    let taken = 0
    while (taken < output.length && offset + output[taken]!.length <= bytes.length) {
      bytes.set(output[taken]!, offset)
      offset += output[taken]!.length
      taken++
    }
    this.#output = output.slice(taken)
    this.#outputBytes -= offset
    return bytes.subarray(0, offset)
  }

  #header(type: number, flags: number, streamId: number, length: number): Frame.Violation | undefined {
    this.#frames++
    if (this.#endReason !== undefined) return undefined
    if (type === Frame.Type.ping) return this.#pinged(flags, length)
    if (type === Frame.Type.goAway) {
      if (length !== Frame.GoAway.normal) this.close("client gone away")
      return undefined
    }
    if ((flags & Frame.Flag.syn) !== 0) {
      if (this.#streams.has(streamId)) return "stream opened twice"
      this.#open(streamId)
    }
    const stream = this.#streams.get(streamId)
    this.#reading = stream
    this.#endsWithBody = false
    if (stream === undefined) return undefined
    if (type === Frame.Type.windowUpdate) stream.addCredit(length)
    else if (!stream.reserve(length)) return "window exceeded"
    if ((flags & Frame.Flag.rst) !== 0) {
      this.forget(streamId)
      stream.resetByPeer()
    } else if ((flags & Frame.Flag.fin) !== 0) {
      this.#endsWithBody = type === Frame.Type.data && length > 0
      if (!this.#endsWithBody) stream.endByPeer()
    }
    return undefined
  }

  #body(part: Uint8Array, isLast: boolean): void {
    const stream = this.#reading
    if (stream === undefined) return
    stream.take(part)
    if (isLast && this.#endsWithBody) stream.endByPeer()
  }

  #pinged(flags: number, value: number): undefined {
    if ((flags & Frame.Flag.syn) !== 0) return this.#emit(Frame.Type.ping, Frame.Flag.ack, 0, value) as undefined
    const answered = this.#pings?.get(value)
    if ((flags & Frame.Flag.ack) === 0 || answered === undefined) return
    this.#answers++
    this.#pings!.delete(value)
    answered()
  }

  #open(id: number): void {
    if (this.#isDraining || this.#streams.size >= this.#maxStreams || id === 0) {
      this.#emit(Frame.Type.windowUpdate, Frame.Flag.rst, id, 0)
      this.#peers.refused()
      return
    }
    const stream = new Stream(this, id)
    this.#streams.set(id, stream)
    this.#unacknowledged.push(stream)
    stream.receiver = this.#peers.accept(stream)
  }
}
