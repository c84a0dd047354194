/**
 * Reads and writes the frames of an agent's WebSocket: JSON, one message or a list of messages in a frame.
 *
 * - A frame that holds anything else gets an error as its reply; the connection stays open.
 * - So does a frame with a call whose id is that of a running call: the agent could not tell the two replies apart.
 * - Headers of a call are ignored: the agent was identified when it connected.
 * - A payload that does not decode becomes an {@link InvalidRequest}, with which the call then fails.
 */
import { Effect, Predicate, Schema, SchemaGetter, type SchemaIssue } from "effect"
import { type RpcMessage, RpcSerialization } from "effect/rpc"
import * as FieldProblem from "../../domain/FieldProblem.ts"
import { InvalidRequest } from "../AgentError.ts"

export const codecFor: RpcSerialization.CodecFor = (schema) => {
  const codec = RpcSerialization.json.codecFor(schema)
  const decode = Schema.decodeUnknownEffect(codec)
  const encode = Schema.encodeUnknownEffect(codec)
  return Schema.Unknown.pipe(
    Schema.decodeTo(Schema.Unknown, {
      decode: SchemaGetter.transformEffect((input) =>
        Effect.catchEager(decode(input), ({ issue }) => Effect.succeed<unknown>(toInvalidRequest(issue)))
      ),
      encode: SchemaGetter.transformEffect((value) => Effect.mapErrorEager(encode(value), ({ issue }) => issue))
    })
  )
}

/** Returns the error that the agent gets for a request that does not decode. */
export const toInvalidRequest = (issue: SchemaIssue.Issue): InvalidRequest =>
  new InvalidRequest(FieldProblem.problemsOf(issue)[0] ?? { field: "", problem: "not what this call takes" })

/** Reads and writes the frames of one connection. */
export interface Parser {
  /** Returns the messages of a frame; throws an error that says what is wrong with it. */
  readonly decode: (frame: string | Uint8Array) => ReadonlyArray<RpcMessage.FromClientEncoded>
  readonly encode: (message: RpcMessage.FromServerEncoded) => string
  /** The reply to a call that succeeded. */
  readonly encodeSuccess: (id: string | number, result: object) => string
}

export const makeParser = (): Parser => new ConnectionParser()

// a class, and a set only while calls run: each connection has a parser
class ConnectionParser implements Parser {
  #running: Set<string> | undefined

  encode(message: RpcMessage.FromServerEncoded) {
    if (message._tag === "Exit") this.#end(message.requestId)
    return JSON.stringify(message)
  }

  encodeSuccess(id: string | number, result: object) {
    this.#end(id)
    const value = JSON.stringify(result)
    return `{"_tag":"Exit","requestId":${JSON.stringify(id)},"exit":{"_tag":"Success","value":${value}}}`
  }

  decode(frame: string | Uint8Array) {
    const content: unknown = JSON.parse(typeof frame === "string" ? frame : decoder.decode(frame))
    const messages = (Array.isArray(content) ? content : [content]).map(toMessage)
    const added: Array<string> = []
    for (const message of messages) {
      if (!isCall(message) || !isId(message.id)) continue
      const id = String(message.id)
      if (this.#running?.has(id)) {
        for (const other of added) this.#end(other)
        throw new Error(`a call with the id ${id.slice(0, 100)} is running`)
      }
      this.#running ??= new Set()
      this.#running.add(id)
      added.push(id)
    }
    return messages
  }

  #end(id: string | number) {
    this.#running?.delete(String(id))
    if (this.#running?.size === 0) this.#running = undefined
  }
}

/** Whether a message is a request with a reply: a notification has none. */
export const isCall = (message: RpcMessage.FromClientEncoded): message is RpcMessage.RequestEncoded =>
  message._tag === "Request" && message.isNotification !== true

/** Whether a value can be the id of a call. Agents may send anything. */
export const isId = (id: unknown): id is string | number => typeof id === "string" || typeof id === "number"

const decoder = new TextDecoder()

/** Throws if a value is not a message. The reader of a message checks its parts. */
const toMessage = (message: unknown): RpcMessage.FromClientEncoded => {
  if (!Predicate.hasProperty(message, "_tag")) throw new Error("a message must be an object with a _tag")
  const own = message as { _tag: unknown; headers?: unknown }
  if (own._tag === "Request") own.headers = []
  return own as RpcMessage.FromClientEncoded
}
