/**
 * One stream of a yamux session: its windows, its queue and its two ends.
 *
 * The methods that a receiver uses come first; those below them are the session's.
 */
import * as Frame from "./YamuxFrame.ts"

/** Takes what happens on a stream. */
export interface StreamReceiver {
  /** Takes data. It must be given back by `consume` sooner or later. The bytes are valid as long as they are referenced. */
  readonly data: (bytes: Uint8Array) => void
  /** The client sends no more. */
  readonly ended: () => void
  /** The stream is over at once, both ways. */
  readonly reset: () => void
  /** Everything written has been sent. Called only after {@link Stream.write} has returned `false`. */
  readonly drained: () => void
  /** The client has ended long ago and the stream is still open on this side. */
  readonly overdue: () => void
}

/** The session of a stream, as the stream uses it. */
export interface Carrier {
  /** Writes a frame, acknowledging the stream where that is due. */
  readonly emitFor: (stream: Stream, type: number, flags: number, length: number, body?: Uint8Array) => void
  /** Counts bytes that wait for a window; a negative number waits no more. */
  readonly countQueued: (bytes: number) => void
  /** The stream is over. */
  readonly forget: (id: number) => void
  readonly flush: () => void
}

/** The body of a frame, so that frame and header fit into one message. */
const maxBodyBytes = 32_768 - Frame.headerBytes

/** One stream of a session. */
export class Stream {
  readonly id: number
  /** Set by the session before anything happens on the stream. */
  receiver!: StreamReceiver
  readonly #session: Carrier
  #sendWindow = Frame.initialWindow
  #receiveWindow = Frame.initialWindow
  #consumed = 0
  #queue: Array<Uint8Array> = []
  #queuedBytes = 0
  #needsAck = true
  #isEnded = false
  #isEndSent = false
  #isEndedByPeer = false
  #isReset = false
  /** The time of the sweep that first saw the stream closed on one side only. */
  #halfClosedAt: number | undefined

  constructor(session: Carrier, id: number) {
    this.#session = session
    this.id = id
  }

  /**
   * Writes bytes, to be sent with the next flush as far as the client's window goes and later as it grows. Returns whether
   * all of them will be; if not, the receiver hears when they have been.
   */
  write(bytes: Uint8Array): boolean {
    if (this.#isEnded || this.#isReset) return true
    if (this.#queue.length === 0 && bytes.length <= Math.min(this.#sendWindow, maxBodyBytes)) {
      this.#sendWindow -= bytes.length
      this.#session.emitFor(this, Frame.Type.data, Frame.Flag.none, 0, bytes)
      return true
    }
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    this.#session.countQueued(bytes.length - this.#pump())
    return this.#queue.length === 0
  }

  /** Says that nothing more will be written. */
  end(): void {
    if (this.#isEnded || this.#isReset) return
    this.#isEnded = true
    this.#sendEnd()
  }

  /** Ends the stream at once, both ways. Bytes that the client has not read yet may be lost. */
  reset(): void {
    if (this.#isReset) return
    this.#session.emitFor(this, Frame.Type.windowUpdate, Frame.Flag.rst, 0)
    this.#session.forget(this.id)
    this.resetByPeer()
  }

  /** Gives received bytes back: the client may send as many more. */
  consume(bytes: number): void {
    this.#consumed += bytes
    if (this.#consumed < Frame.initialWindow / 2 || this.#isEndedByPeer || this.#isEnded || this.#isReset) return
    this.#receiveWindow += this.#consumed
    this.#session.emitFor(this, Frame.Type.windowUpdate, Frame.Flag.none, this.#consumed)
    this.#consumed = 0
  }

  /** Sends what was written; needed only outside of the receiver's calls. */
  flush(): void {
    this.#session.flush()
  }

  // ----- the session's part -----

  /** Whether the stream was to be acknowledged still; from now on it is. */
  takeAck(): boolean {
    const needsAck = this.#needsAck
    this.#needsAck = false
    return needsAck
  }

  acknowledge(): void {
    if (this.#needsAck && !this.#isReset) {
      this.#session.emitFor(this, Frame.Type.windowUpdate, Frame.Flag.none, 0)
    }
  }

  addCredit(bytes: number): void {
    this.#sendWindow = Math.min(this.#sendWindow + bytes, 0xff_ff_ff_ff)
    if (this.#queue.length === 0) return
    this.#session.countQueued(-this.#pump())
    if (this.#queue.length > 0) return
    this.receiver.drained()
    this.#sendEnd()
  }

  /** Whether the window has room for a body. Bytes after an end are dropped without a check. */
  reserve(bytes: number): boolean {
    if (this.#isEndedByPeer) return true
    this.#receiveWindow -= bytes
    return this.#receiveWindow >= 0
  }

  take(part: Uint8Array): void {
    if (!this.#isEndedByPeer && !this.#isEnded) this.receiver.data(part)
  }

  endByPeer(): void {
    if (this.#isEndedByPeer) return
    this.#isEndedByPeer = true
    this.receiver.ended()
    this.#forgetIfOver()
  }

  resetByPeer(): void {
    if (this.#isReset) return
    this.#isReset = true
    this.#dropQueue()
    this.receiver.reset()
  }

  sweep(now: number, timeout: number): void {
    if (!this.#isEndedByPeer && !this.#isEnded) return
    if (this.#halfClosedAt === undefined) this.#halfClosedAt = now
    else if (!this.#isEnded) this.receiver.overdue()
    if (now - this.#halfClosedAt >= timeout) this.reset()
  }

  /** Sends as much of the queue as the window takes, and returns how many bytes that was. */
  #pump(): number {
    const before = this.#queuedBytes
    while (this.#queue.length > 0 && this.#sendWindow > 0) {
      const next = this.#queue[0]!
      const part = next.subarray(0, Math.min(next.length, this.#sendWindow, maxBodyBytes))
      if (part.length === next.length) this.#queue.shift()
      else this.#queue[0] = next.subarray(part.length)
      this.#sendWindow -= part.length
      this.#queuedBytes -= part.length
      this.#session.emitFor(this, Frame.Type.data, Frame.Flag.none, 0, part)
    }
    return before - this.#queuedBytes
  }

  #sendEnd(): void {
    if (!this.#isEnded || this.#isEndSent || this.#queue.length > 0) return
    this.#isEndSent = true
    this.#session.emitFor(this, Frame.Type.windowUpdate, Frame.Flag.fin, 0)
    this.#forgetIfOver()
  }

  #forgetIfOver(): void {
    if (this.#isEndSent && this.#isEndedByPeer) this.#session.forget(this.id)
  }

  #dropQueue(): void {
    this.#session.countQueued(-this.#queuedBytes)
    this.#queue = []
    this.#queuedBytes = 0
  }
}
