/**
 * What an agent sends over its WebSocket: JSON, one message in a frame or a list of them.
 *
 * - A frame that holds something else is answered with an error that says so; the connection goes on.
 * - So is one with a call whose id is that of a call still running: two answers could not be told apart.
 * - A call has no headers of its own: who calls was settled when the agent connected.
 * - A request that is not what its call takes is handed on as an {@link InvalidRequest}, so that it can be answered as one;
 *   one that has {@link Begun}, as that.
 */
import { Effect, Predicate, Schema, SchemaGetter, SchemaIssue } from "effect"
import { type RpcMessage, RpcSerialization } from "effect/rpc"
import { InvalidRequest } from "../AgentError.ts"
import { Begun } from "./begun.ts"

export const codecFor: RpcSerialization.CodecFor = (schema) => {
  const codec = RpcSerialization.json.codecFor(schema)
  const decode = Schema.decodeUnknownEffect(codec)
  const encode = Schema.encodeUnknownEffect(codec)
  return Schema.Unknown.pipe(
    Schema.decodeTo(Schema.Unknown, {
      decode: SchemaGetter.transformEffect((input) =>
        input instanceof Begun
          ? Effect.succeed<unknown>(input)
          : Effect.catchEager(decode(input), ({ issue }) => Effect.succeed(toInvalidRequest(issue)))
      ),
      encode: SchemaGetter.transformEffect((value) => Effect.mapErrorEager(encode(value), ({ issue }) => issue))
    })
  )
}

/** The longest field and the longest description of what is wrong, in characters: both may speak of what was sent. */
const maxLength = 300

const toInvalidRequest = (issue: SchemaIssue.Issue): InvalidRequest => {
  const { message = "not what this call takes", path = [] } = formatIssue(issue).issues[0] ?? {}
  const field = path
    .map((segment) => (typeof segment === "object" ? segment.key : segment))
    .reduce<string>(
      (field, key) =>
        typeof key === "number" ? `${field}[${key}]` : field === "" ? String(key) : `${field}.${String(key)}`,
      ""
    )
  return new InvalidRequest({ field: field.slice(0, maxLength), problem: message.slice(0, maxLength) })
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** What reads the frames of one connection, and writes those that answer them. */
export interface Parser {
  /** The messages of a frame. Throws what is wrong with one that holds something else. */
  readonly decode: (frame: string | Uint8Array) => ReadonlyArray<RpcMessage.FromClientEncoded>
  readonly encode: (message: RpcMessage.FromServerEncoded) => string
  /** The answer to a call that has succeeded and has no result. */
  readonly encodeSuccess: (id: string | number) => string
}

export const makeParser = (): Parser => {
  const running = new Set<string>()
  return {
    encode: (message) => {
      if (message._tag === "Exit") running.delete(String(message.requestId))
      return JSON.stringify(message)
    },
    encodeSuccess: (id) => {
      running.delete(String(id))
      return `{"_tag":"Exit","requestId":${JSON.stringify(id)},"exit":{"_tag":"Success","value":{}}}`
    },
    decode: (frame) => {
      const content: unknown = JSON.parse(typeof frame === "string" ? frame : decoder.decode(frame))
      const messages = (Array.isArray(content) ? content : [content]).map(toMessage)
      const begun: Array<string> = []
      for (const message of messages) {
        if (!isCall(message) || !isId(message.id)) continue
        const id = String(message.id)
        if (running.has(id)) {
          for (const other of begun) running.delete(other)
          throw new Error(`A call with the id ${id.slice(0, 100)} is running`)
        }
        running.add(id)
        begun.push(id)
      }
      return messages
    }
  }
}

/** A request that is answered: a notification is not. */
export const isCall = (message: RpcMessage.FromClientEncoded): message is RpcMessage.RequestEncoded =>
  message._tag === "Request" && message.isNotification !== true

/** Whether an id is one. Agents may send anything. */
export const isId = (id: unknown): id is string | number => typeof id === "string" || typeof id === "number"

const decoder = new TextDecoder()

/** Throws what is no message. What its parts are is for whoever takes it to see. */
const toMessage = (message: unknown): RpcMessage.FromClientEncoded => {
  if (!Predicate.hasProperty(message, "_tag")) throw new Error("A message is an object with a _tag")
  const own = message as { _tag: unknown; headers?: unknown }
  if (own._tag === "Request") own.headers = []
  return own as RpcMessage.FromClientEncoded
}
