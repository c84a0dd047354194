/**
 * What an agent sends over its WebSocket: JSON, one message in a frame or a list of them.
 *
 * - A frame that holds something else is answered with an error that says so; the connection goes on.
 * - So is one with a call whose id is that of a call still running: two answers could not be told apart.
 * - A call has no headers of its own: who calls was settled when the agent connected.
 * - A request that is not what its call takes is handed on as an {@link InvalidRequest}, so that it can be answered as one.
 */
import { Effect, Predicate, Schema, SchemaGetter, SchemaIssue } from "effect"
import { RpcSerialization } from "effect/rpc"
import { InvalidRequest } from "../AgentError.ts"

const codecFor: RpcSerialization.CodecFor = (schema) => {
  const codec = RpcSerialization.json.codecFor(schema)
  const decode = Schema.decodeUnknownEffect(codec)
  const encode = Schema.encodeUnknownEffect(codec)
  return Schema.Unknown.pipe(
    Schema.decodeTo(Schema.Unknown, {
      decode: SchemaGetter.transformEffect((input) =>
        Effect.catchEager(decode(input), ({ issue }) => Effect.succeed(toInvalidRequest(issue)))
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

export const serialization: RpcSerialization.RpcSerialization["Service"] = RpcSerialization.RpcSerialization.of({
  ...RpcSerialization.json,
  codecFor,
  makeUnsafe: () => {
    const parser = RpcSerialization.json.makeUnsafe()
    const running = new Set<string>()
    return {
      encode: (response) => {
        if (Predicate.isTagged(response, "Exit")) running.delete(idOf("requestId", response) ?? "")
        return parser.encode(response)
      },
      decode: (frame) => {
        const messages = parser.decode(frame).map(toMessage)
        const begun: Array<string> = []
        for (const message of messages) {
          const id = isCall(message) ? idOf("id", message) : undefined
          if (id === undefined) continue
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
})

/** A request that is answered: a notification is not. */
const isCall = (message: unknown): message is object =>
  Predicate.isTagged(message, "Request") &&
  !(Predicate.hasProperty(message, "isNotification") && message.isNotification === true)

/** The id of a call, unless it is none. */
const idOf = (name: "id" | "requestId", message: object): string | undefined => {
  const id: unknown = Predicate.hasProperty(message, name) ? message[name] : undefined
  return typeof id === "string" || typeof id === "number" ? String(id) : undefined
}

/** Throws what is no message: that is how a parser refuses a frame. */
const toMessage = (message: unknown): unknown => {
  if (!Predicate.hasProperty(message, "_tag")) throw new Error("A message is an object with a _tag")
  return message._tag === "Request" ? { ...message, headers: [] } : message
}
