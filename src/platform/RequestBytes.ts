/**
 * The WebSocket of a request as a stream of messages, which no fiber reads.
 *
 * - Reading a socket only queues its messages: the {@link FairReader} hands them over, one connection after the other.
 * - While 16 KiB wait, and until its reader begins, the connection is paused: at most 80 KiB and one more message wait in
 *   memory. A small message counts as 64 bytes.
 * - All that has arrived before the client closes the WebSocket is handed over.
 */
import { Effect, Fiber, type Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { Socket } from "effect/socket"
import { setReceiver, webSocketOf } from "./ByteWebSocket.ts"
import type { FairReader } from "./FairReader.ts"
import * as LeanScope from "./LeanScope.ts"
import { drained, roundTrip, tcpOf } from "./RequestSocket.ts"

/** The bytes of messages that wait, from which on no more are read. */
const maxWaitingBytes = 16 * 1024

/** The least that a message counts as: an empty one takes memory, too. */
const minMessageBytes = 64

/** Whether a reader takes more, besides what the client has not taken of what was written. */
export interface Readiness {
  readonly isReadyUnsafe: () => boolean
  /** Waits until the reader takes more. */
  readonly ready: Effect.Effect<void>
}

/**
 * Takes messages that have arrived, and returns how many if not all. The rest is handed over again, behind other
 * connections.
 */
export type Receive = (messages: ReadonlyArray<Uint8Array>) => number | void

export interface RequestBytes {
  /** Writes at once. */
  readonly write: (message: Uint8Array | string) => void
  /** Hands over what arrives, until the WebSocket closes. Fails unless the client has closed it. */
  readonly serve: (receive: Receive) => Effect.Effect<void, Socket.SocketError>
  /** Pings the client, and returns when all is handed over that it has sent before its pong. */
  readonly roundTrip: Effect.Effect<void>
  /** Whether messages wait for their turn, and not for the client or a limit. Later ones may not be read meanwhile. */
  readonly isBehindUnsafe: () => boolean
}

/** Opens the WebSocket of a request, which closes with the scope. */
export const open = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  reader: FairReader["Service"],
  readiness: Readiness
): Effect.fn.Return<RequestBytes, Socket.SocketError, Scope.Scope> {
  const scope = yield* Effect.scope
  const messages = new Messages(request, reader, readiness, Effect.runForkWith(yield* Effect.context<never>()), scope)
  yield* LeanScope.acquireRelease(Effect.void, () => Effect.sync(() => messages.release()))
  const socket = yield* Effect.orDie(request.upgrade)
  messages.pull = (yield* socket.reader).pull
  // the platform asks for copies
  if (messages.webSocket !== undefined) messages.webSocket.binaryType = "nodebuffer"
  return messages
})

// ----- internals -----

type Fork = (effect: Effect.Effect<void>) => Fiber.Fiber<void>

// a class: each connection has one
class Messages implements RequestBytes {
  readonly #request: HttpServerRequest.HttpServerRequest
  readonly #tcp: ReturnType<typeof tcpOf>
  readonly #reader: FairReader["Service"]
  readonly #readiness: Readiness
  readonly #fork: Fork
  readonly #scope: Scope.Scope
  pull: Effect.Effect<unknown, Socket.SocketError> = Effect.never
  #webSocket: ReturnType<typeof webSocketOf>
  #receive: Receive | undefined
  #arrived: Array<Uint8Array> = []
  #arrivedBytes = 0
  #onTaken: Array<() => void> | undefined
  #isPaused = false
  #isWaiting = false
  #isOver = false

  constructor(
    request: HttpServerRequest.HttpServerRequest,
    reader: FairReader["Service"],
    readiness: Readiness,
    fork: Fork,
    scope: Scope.Scope
  ) {
    this.#request = request
    this.#tcp = tcpOf(request)
    this.#reader = reader
    this.#readiness = readiness
    this.#fork = fork
    this.#scope = scope
    setReceiver(this.#tcp, this.#add)
  }

  /** The WebSocket, once the connection is one. */
  get webSocket() {
    return (this.#webSocket ??= webSocketOf(this.#tcp))
  }

  readonly write = (message: Uint8Array | string) => this.webSocket?.send(message)

  readonly serve = (receive: Receive) =>
    Effect.suspend(() => {
      this.#receive = receive
      if (this.#arrived.length > 0) this.#reader.addUnsafe(this.#handOver)
      return Effect.forever(this.pull)
    }).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => this.#taken()))

  readonly isBehindUnsafe = () => this.#arrived.length > 0 && this.#receive !== undefined && !this.#isWaiting

  get roundTrip() {
    return Effect.andThen(roundTrip(this.#request), this.#taken())
  }

  #taken() {
    return Effect.callback<void>((resume) => {
      if (this.#arrived.length === 0) return resume(Effect.void)
      this.#onTaken ??= []
      this.#onTaken.push(() => resume(Effect.void))
    })
  }

  release() {
    this.#isOver = true
    this.#arrived = []
    // a WebSocket that is paused would not see that the client closes it as well
    this.#allTaken()
  }

  readonly #add = (message: Uint8Array) => {
    if (this.#isOver) return
    this.#arrived.push(message)
    this.#arrivedBytes += Math.max(message.length, minMessageBytes)
    if (this.#arrivedBytes > maxWaitingBytes && !this.#isPaused) this.#pause()
    if (!this.#isWaiting) this.#reader.addUnsafe(this.#handOver)
  }

  readonly #handOver = () => {
    if (this.#isWaiting || this.#arrived.length === 0) return
    if (this.#receive === undefined) return this.#pause()
    if (this.#tcp.writableNeedDrain || !this.#readiness.isReadyUnsafe()) return this.#awaitReadiness()
    const arrived = this.#arrived
    const taken = this.#receive(arrived) ?? arrived.length
    if (this.#isOver) return
    if (taken < arrived.length) {
      arrived.splice(0, taken)
      return this.#reader.addUnsafe(this.#handOver)
    }
    this.#arrived = []
    this.#allTaken()
  }

  #awaitReadiness() {
    this.#isWaiting = true
    const resumed = Effect.sync(() => {
      this.#isWaiting = false
      this.#reader.addUnsafe(this.#handOver)
    })
    const ready = Effect.andThen(drained(this.#request), this.#readiness.ready)
    Fiber.runIn(this.#fork(Effect.andThen(ready, resumed)), this.#scope)
  }

  #allTaken() {
    this.#arrivedBytes = 0
    const listeners = this.#onTaken ?? []
    this.#onTaken = undefined
    for (const listener of listeners) listener()
    if (!this.#isPaused) return
    this.#isPaused = false
    this.webSocket?.resume()
  }

  #pause() {
    this.#isPaused = true
    this.webSocket?.pause()
  }
}
