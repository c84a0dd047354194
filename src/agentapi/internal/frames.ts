/**
 * What an agent sends over its WebSocket: JSON, one message in a frame or a list of them.
 *
 * - A frame that holds something else is answered with an error that says so; the connection goes on.
 * - A call has no headers of its own: who calls was settled when the agent connected.
 */
import { Predicate } from "effect"
import { RpcSerialization } from "effect/rpc"

export const serialization: RpcSerialization.RpcSerialization["Service"] = RpcSerialization.RpcSerialization.of({
  ...RpcSerialization.json,
  makeUnsafe: () => {
    const parser = RpcSerialization.json.makeUnsafe()
    return { encode: parser.encode, decode: (frame) => parser.decode(frame).map(toMessage) }
  }
})

/** Throws what is no message: that is how a parser refuses a frame. */
const toMessage = (message: unknown): unknown => {
  if (!Predicate.hasProperty(message, "_tag")) throw new Error("A message is an object with a _tag")
  return message._tag === "Request" ? { ...message, headers: [] } : message
}
