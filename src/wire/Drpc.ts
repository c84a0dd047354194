/**
 * The server's side of dRPC over one stream: a transport that carries calls, one after the other.
 *
 * - A unary call starts with its message; when it is over by the end of that turn, its response goes out in the same turn.
 * - A stream's handler takes messages one by one. While one waits to be taken nothing more is read from the stream, and
 *   neither while the reply to a call waits for the client's window. A stream to the client takes one message.
 * - The client cancels a call by Close, Cancel, a later Invoke, or the end of the stream. Nothing more is sent, and the
 *   handler is interrupted, but not before it has dealt with the message of a stream that it has taken.
 * - A defect in a handler is logged, and the client reads "internal error".
 * - Packets for a call that is over are ignored. A packet that breaks the protocol ends this transport, and the session
 *   goes on.
 * - Packets that are not complete, messages that wait, and the requests of unary calls that are not over take memory of
 *   the connection's {@link Budget}.
 */
import { Cause, Deferred, Effect, Exit, Fiber, Option, type Scope } from "effect"
import * as Frame from "./DrpcFrame.ts"
import {
  type DrpcError,
  type Handler,
  type InvalidMessage,
  type Messages,
  type Multiplexer,
  noMessage,
  unimplemented
} from "./DrpcMultiplexer.ts"
import { GrowingBytes } from "./internal/GrowingBytes.ts"
import type { Stream, StreamReceiver } from "./YamuxStream.ts"

/** Why a transport was ended. */
export type Violation =
  | Frame.Violation
  | "unknown kind"
  | "invoked twice"
  | "malformed metadata"
  | "message without a call"
  | "memory full"
  | InvalidMessage

/** The memory that the transports of one connection may take for what is not complete or not over. */
export interface Budget {
  /** Bytes that are left. */
  left: number
}

/** The shared state of the transports of one connection. */
export interface Environment<C> {
  readonly multiplexer: Multiplexer<C>
  readonly connection: C
  readonly budget: Budget
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** The scope of the connection: calls end with it. */
  readonly scope: Scope.Scope
  /** Waits until the network has taken what was sent. */
  readonly drained: Effect.Effect<void>
  /** Called for each transport that is ended for what the client has sent. */
  readonly violated: (violation: Violation) => void
  /** Called for each call that ends with a defect. */
  readonly died: (name: string, cause: Cause.Cause<unknown>) => void
}

interface Call<C> {
  readonly name: string
  readonly streamId: number
  readonly handler: Handler<C>
  nextMessageId: number
  fiber: Fiber.Fiber<unknown, DrpcError> | undefined
  /** The message that waits to be taken. */
  message: Uint8Array | undefined
  /** The size of the request of a unary call, which is kept until the call is over. */
  requestBytes: number
  /** The client sends no more messages. */
  isInputEnded: boolean
  /** Wakes the handler that waits for a message. */
  wake: (() => void) | undefined
  /** The handler deals with a message of the client. */
  isBusy: boolean
  isCancelled: boolean
}

export class Transport<C> implements StreamReceiver {
  readonly #stream: Stream
  readonly #environment: Environment<C>
  #reader: Frame.PacketReader | undefined = Frame.makePacketReader()
  #call: Call<C> | undefined
  /** The id of the last call; calls with it or a lower one are over, unless it is {@link #call}. */
  #lastCallId = 0
  /** Bytes that arrived behind a message that waits to be taken. */
  #stalled: GrowingBytes | undefined
  #isStreamEnded = false
  #isOver = false
  #held = 0
  /** A reply waits for the client's window. */
  #isUnsent = false
  /** Wakes those who wait for the client's window. */
  #writable: Array<Deferred.Deferred<void>> | undefined

  constructor(stream: Stream, environment: Environment<C>) {
    this.#stream = stream
    this.#environment = environment
  }

  data(bytes: Uint8Array): void {
    if (this.#stalled === undefined && this.#call?.message === undefined && !this.#isUnsent) return this.#read(bytes)
    this.#stall(bytes)
    this.#account()
  }

  ended(): void {
    this.#isStreamEnded = true
    this.#finishIfRead()
  }

  reset(): void {
    this.#finish("at once")
  }

  drained(): void {
    this.#wakeSenders()
    if (!this.#isUnsent) return
    this.#isUnsent = false
    this.#resume()
  }

  overdue(): void {
    this.#finish("at once")
  }

  #read(bytes: Uint8Array): void {
    const read = this.#reader!.read(bytes, this.#take)
    if (typeof read === "string") return this.#violate(read)
    if (this.#isOver) return
    this.#stream.consume(read)
    if (read < bytes.length) this.#stall(bytes.subarray(read))
    this.#account()
  }

  /** Keeps a copy, which does not keep the whole chunk that the bytes came in. */
  #stall(bytes: Uint8Array): void {
    this.#stalled ??= new GrowingBytes(bytes.length)
    this.#stalled.append(bytes)
  }

  /** Goes on with what has stalled behind a message that was taken, or behind a call that is over. */
  #resume(): void {
    const stalled = this.#stalled
    if (this.#isOver || this.#isUnsent) return
    this.#stalled = undefined
    if (stalled === undefined) this.#account()
    else this.#read(stalled.bytes)
    this.#finishIfRead()
    this.#stream.flush()
  }

  /** Ends the transport when the client's end has come and nothing waits before it. */
  #finishIfRead(): void {
    if (this.#isStreamEnded && this.#stalled === undefined && this.#call?.message === undefined) this.#finish()
  }

  /** Holds what this transport keeps in memory against the budget of the connection. */
  #account(): void {
    const ofCall = this.#call === undefined ? 0 : this.#call.requestBytes + (this.#call.message?.length ?? 0)
    const held = (this.#reader?.heldBytes ?? 0) + (this.#stalled?.capacity ?? 0) + ofCall
    const { budget } = this.#environment
    budget.left -= held - this.#held
    this.#held = held
    if (budget.left < 0) this.#violate("memory full")
  }

  #violate(violation: Violation): void {
    this.#environment.violated(violation)
    this.#finish()
  }

  /** Ends the transport: the running call is cancelled, and nothing is read any more. */
  #finish(when?: "at once"): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stalled = undefined
    this.#reader = undefined
    const call = this.#call
    this.#call = undefined
    // before a handler is interrupted, which may let others go on at once
    this.#account()
    this.#interrupt(call, when)
    this.#stream.end()
    this.#stream.flush()
  }

  #cancel(): void {
    const call = this.#call
    this.#call = undefined
    this.#interrupt(call)
  }

  #interrupt(call: Call<C> | undefined, when?: "at once"): void {
    if (call === undefined) return
    call.isCancelled = true
    if (!call.isBusy || when === "at once") call.fiber?.interruptUnsafe()
    this.#wakeSenders()
  }

  #wakeSenders(): void {
    const waiting = this.#writable
    this.#writable = undefined
    waiting?.forEach((writable) => Deferred.doneUnsafe(writable, Effect.void))
  }

  /** Takes a packet. Returns whether the next one is wanted. */
  readonly #take = (packet: Frame.Packet): boolean => {
    const { Kind } = Frame
    const call = this.#call?.streamId === packet.streamId ? this.#call : undefined
    switch (packet.kind) {
      case Kind.invokeMetadata:
        if (!Frame.isMetadata(packet.body)) this.#violate("malformed metadata")
        break
      case Kind.invoke:
        this.#invoke(packet)
        break
      case Kind.message:
        if (call !== undefined) this.#message(call, packet.body)
        else if (packet.streamId > this.#lastCallId) this.#violate("message without a call")
        break
      case Kind.closeSend:
        if (call !== undefined) this.#endInput(call)
        break
      case Kind.close:
      case Kind.cancel:
      case Kind.error:
        if (call !== undefined) this.#cancel()
        break
      default:
        if (!packet.isControl) this.#violate("unknown kind")
    }
    return !this.#isOver && !this.#isUnsent && this.#call?.message === undefined
  }

  #invoke({ body, streamId }: Frame.Packet): void {
    if (streamId <= this.#lastCallId) return this.#violate("invoked twice")
    this.#cancel()
    this.#lastCallId = streamId
    const name = decoder.decode(body)
    const handler = this.#environment.multiplexer.get(name)
    if (handler === undefined) {
      this.#reply(Frame.encode(Frame.Kind.error, streamId, 1, unimplementedBody))
      return
    }
    const call: Call<C> = {
      name,
      streamId,
      handler,
      nextMessageId: 1,
      fiber: undefined,
      message: undefined,
      requestBytes: 0,
      isInputEnded: false,
      wake: undefined,
      isBusy: false,
      isCancelled: false
    }
    this.#call = call
    if (handler._tag === "Streaming") {
      const messages = this.#messagesOf(call, handler.isBidirectional)
      this.#run(call, handler.handle(messages, this.#environment.connection))
    }
  }

  #message(call: Call<C>, body: Uint8Array): void {
    if (call.isInputEnded) return
    if (call.handler._tag === "Unary") {
      // a second message has no meaning
      if (call.fiber !== undefined) return
      call.requestBytes = body.length
      return this.#run(call, call.handler.handle(body, this.#environment.connection))
    }
    call.message = body.slice()
    call.isInputEnded = !call.handler.isBidirectional
    this.#wake(call)
  }

  #endInput(call: Call<C>): void {
    call.isInputEnded = true
    if (call.handler._tag === "Unary" && call.fiber === undefined) this.#fail(call, noMessage)
    else this.#wake(call)
  }

  #wake(call: Call<C>): void {
    const { wake } = call
    call.wake = undefined
    wake?.()
  }

  #messagesOf(call: Call<C>, isBidirectional: boolean): Messages<Uint8Array, Uint8Array> {
    const taken = (message: Uint8Array) => {
      call.message = undefined
      call.isBusy = isBidirectional
      this.#resume()
      return Option.some(message)
    }
    const receive: Effect.Effect<Option.Option<Uint8Array>> = Effect.suspend(() => {
      call.isBusy = false
      if (call.isCancelled) return Effect.interrupt
      if (call.message !== undefined) return Effect.succeed(taken(call.message))
      if (call.isInputEnded) return Effect.succeedNone
      return Effect.andThen(
        Effect.callback<void>((resume) => {
          call.wake = () => resume(Effect.void)
        }),
        receive
      )
    })
    return {
      receive,
      send: (message) =>
        Effect.suspend(() => {
          if (this.#call !== call) return Effect.void
          const isSent = this.#write(Frame.encode(Frame.Kind.message, call.streamId, call.nextMessageId++, message))
          return isSent ? this.#environment.drained : Effect.andThen(this.#untilWritable(), this.#environment.drained)
        })
    }
  }

  /** Waits for the client's window, from this moment on. */
  #untilWritable(): Effect.Effect<void> {
    const writable = Deferred.makeUnsafe<void>()
    this.#writable ??= []
    this.#writable.push(writable)
    return Deferred.await(writable)
  }

  #run(call: Call<C>, effect: Effect.Effect<Uint8Array | void, DrpcError>): void {
    const fiber = this.#environment.fork(effect)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return this.#complete(call, exit)
    call.fiber = fiber
    Fiber.runIn(fiber, this.#environment.scope)
    fiber.addObserver((exit) => this.#complete(call, exit))
  }

  #complete(call: Call<C>, exit: Exit.Exit<Uint8Array | void, DrpcError>): void {
    if (Exit.isFailure(exit)) {
      if (Cause.hasDies(exit.cause)) this.#environment.died(call.name, exit.cause)
      const error = Cause.findErrorOption(exit.cause)
      if (Option.isSome(error)) {
        if (error.value.violation !== undefined) this.#environment.violated(error.value.violation)
        return this.#fail(call, error.value)
      }
      if (Cause.hasDies(exit.cause)) return this.#fail(call, internalError)
    }
    if (this.#call !== call) return
    this.#call = undefined
    if (Exit.isFailure(exit)) return
    const { nextMessageId, streamId } = call
    if (exit.value === undefined) {
      this.#reply(Frame.encode(Frame.Kind.close, streamId, nextMessageId, empty))
    } else {
      this.#reply(
        concat(
          Frame.encode(Frame.Kind.message, streamId, nextMessageId, exit.value),
          Frame.encode(Frame.Kind.closeSend, streamId, nextMessageId + 1, empty)
        )
      )
    }
    this.#resume()
  }

  #fail(call: Call<C>, { code, message }: Pick<DrpcError, "code" | "message">): void {
    if (this.#call !== call) return
    this.#call = undefined
    this.#reply(Frame.encode(Frame.Kind.error, call.streamId, call.nextMessageId, Frame.encodeError(code, message)))
    this.#resume()
  }

  /** Sends what ends a call. */
  #reply(bytes: Uint8Array): void {
    this.#isUnsent = !this.#write(bytes)
  }

  #write(bytes: Uint8Array): boolean {
    const isSent = this.#stream.write(bytes)
    this.#stream.flush()
    return isSent
  }
}

// ----- internals -----

const decoder = new TextDecoder()
const empty = new Uint8Array(0)
const unimplementedBody = Frame.encodeError(unimplemented.code, unimplemented.message)
const internalError = { code: 0, message: "internal error" }

const concat = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const joined = new Uint8Array(first.length + second.length)
  joined.set(first)
  joined.set(second, first.length)
  return joined
}
