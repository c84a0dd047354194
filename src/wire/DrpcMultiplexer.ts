/**
 * The calls that a service takes over dRPC, by their names on the wire.
 *
 * - A handler gets the decoded request and what belongs to the connection, and returns the response or fails with a
 *   {@link DrpcError}, whose code and text the client reads.
 * - A request that is no message of its type, or has more fields than any client sends, fails the call alone.
 * - A name without a handler is unimplemented: code 12, the one code that stock clients know.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import type {
  DescMessage,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape
} from "@bufbuild/protobuf"
import { Data, Effect, Option } from "effect"
import * as FieldCount from "./FieldCount.ts"

/** Why a message is not read. */
export type InvalidMessage = "malformed message" | "too many fields"

/** The failure of a call, as the client reads it. */
export class DrpcError extends Data.TaggedError("DrpcError")<{
  readonly code: number
  readonly message: string
  /** The fault of a message that no client of the protocol sends. */
  readonly violation?: InvalidMessage
}> {}

/** Stock clients know this code, and give up what they wanted. */
export const unimplemented = new DrpcError({ code: 12, message: "Unimplemented" })

/** The messages of a call, in both directions. */
export interface Messages<I, O> {
  /** Waits for the next message of the client; nothing when it sends no more. */
  readonly receive: Effect.Effect<Option.Option<I>, DrpcError>
  /** Sends a message, and waits while the client does not read. */
  readonly send: (message: O) => Effect.Effect<void>
}

/** A handler over encoded messages: one message in, one out. */
export interface UnaryHandler<C> {
  readonly _tag: "Unary"
  readonly handle: (request: Uint8Array, connection: C) => Effect.Effect<Uint8Array, DrpcError>
}

/** A handler over encoded messages, any number of them. */
export interface StreamingHandler<C> {
  readonly _tag: "Streaming"
  /** Whether the client may send more than one message: one that was taken is dealt with before a cancellation. */
  readonly isBidirectional: boolean
  readonly handle: (messages: Messages<Uint8Array, Uint8Array>, connection: C) => Effect.Effect<void, DrpcError>
}

export type Handler<C> = UnaryHandler<C> | StreamingHandler<C>

export interface Entry<C> {
  readonly name: string
  readonly handler: Handler<C>
}

export interface UnaryEntry<C> extends Entry<C> {
  readonly handler: UnaryHandler<C>
}

/** The handlers of all calls, by name. */
export type Multiplexer<C> = ReadonlyMap<string, Handler<C>>

/** Throws when two entries have one name. */
export const make = <C>(entries: Iterable<Entry<C>>): Multiplexer<C> => {
  const multiplexer = new Map<string, Handler<C>>()
  for (const { handler, name } of entries) {
    if (multiplexer.has(name)) throw new Error(`two handlers are registered for ${name}`)
    multiplexer.set(name, handler)
  }
  return multiplexer
}

/** The name of a method on the wire. */
export const nameOf = (method: { readonly name: string; readonly parent: { readonly typeName: string } }): string =>
  `/${method.parent.typeName}/${method.name}`

/** One message in, one out. */
export const unary = <I extends DescMessage, O extends DescMessage, C>(
  method: DescMethodUnary<I, O>,
  handle: (request: MessageShape<I>, connection: C) => Effect.Effect<MessageInitShape<O>, DrpcError>
): UnaryEntry<C> => ({
  name: nameOf(method),
  handler: {
    _tag: "Unary",
    handle: (bytes, connection) =>
      Effect.flatMap(decode(method.input, bytes), (request) =>
        Effect.map(handle(request, connection), (response) => encode(method.output, response))
      )
  }
})

/** One message in, any number out. */
export const serverStreaming = <I extends DescMessage, O extends DescMessage, C>(
  method: DescMethodServerStreaming<I, O>,
  handle: (
    request: MessageShape<I>,
    send: (message: MessageInitShape<O>) => Effect.Effect<void>,
    connection: C
  ) => Effect.Effect<void, DrpcError>
): Entry<C> => ({
  name: nameOf(method),
  handler: {
    _tag: "Streaming",
    isBidirectional: false,
    handle: ({ receive, send }, connection) =>
      Effect.flatMap(receive, (bytes) =>
        Option.isNone(bytes)
          ? Effect.fail(noMessage)
          : Effect.flatMap(decode(method.input, bytes.value), (request) =>
              handle(request, (message) => send(encode(method.output, message)), connection)
            )
      )
  }
})

/** Any number of messages in both directions. */
export const bidirectional = <I extends DescMessage, O extends DescMessage, C>(
  method: DescMethodBiDiStreaming<I, O>,
  handle: (messages: Messages<MessageShape<I>, MessageInitShape<O>>, connection: C) => Effect.Effect<void, DrpcError>
): Entry<C> => ({
  name: nameOf(method),
  handler: {
    _tag: "Streaming",
    isBidirectional: true,
    handle: ({ receive, send }, connection) =>
      handle(
        {
          receive: Effect.flatMap(receive, (bytes) =>
            Option.isNone(bytes)
              ? Effect.succeed(Option.none<MessageShape<I>>())
              : Effect.map(decode(method.input, bytes.value), Option.some)
          ),
          send: (message) => send(encode(method.output, message))
        },
        connection
      )
  }
})

/** Makes the handlers of connections `D` from those of connections `C`. `of` is called once for each call. */
export const contramap =
  <C, D>(of: (connection: D) => C) =>
  ({ handler, name }: Entry<C>): Entry<D> => ({
    name,
    // either kind of handler gets its input as it is
    handler: {
      ...handler,
      handle: (input: never, connection: D) => handler.handle(input, of(connection))
    } as Handler<D>
  })

/** The client has ended a call without the message that the call takes. */
export const noMessage = new DrpcError({ code: 0, message: "the call has no message" })

// ----- internals -----

/** The message in some bytes. Fails where they are none of its type. */
const decode = <I extends DescMessage>(type: I, bytes: Uint8Array): Effect.Effect<MessageShape<I>, DrpcError> =>
  Effect.suspend(() => {
    const fail = (violation: InvalidMessage, message: string) =>
      Effect.fail(new DrpcError({ code: 0, message, violation }))
    try {
      return FieldCount.exceeds(type, bytes)
        ? fail("too many fields", `the message has more than ${FieldCount.limit} fields`)
        : Effect.succeed(fromBinary(type, bytes))
    } catch {
      return fail("malformed message", `the message is no ${type.typeName}`)
    }
  })

const encode = <O extends DescMessage>(type: O, message: MessageInitShape<O>): Uint8Array =>
  toBinary(type, create(type, message))
