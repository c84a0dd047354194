/** Tells why a WebSocket has failed: by what its client has sent, or because the connection is gone. */
import { Predicate } from "effect"
import type { SocketError } from "effect/socket/Socket"

export const reasons = ["message too large", "malformed frame", "connection lost"] as const

export type Reason = (typeof reasons)[number]

/** Returns the reason of an error. */
export const reasonOf = ({ reason }: SocketError): Reason => {
  const code = "cause" in reason ? codeOf(reason.cause) : ""
  if (tooLarge.has(code)) return "message too large"
  return code.startsWith("WS_ERR_") ? "malformed frame" : "connection lost"
}

const tooLarge: ReadonlySet<string> = new Set([
  "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH",
  "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH"
])

/** Returns the code of an error, which the platform passes on in an event. */
const codeOf = (cause: unknown): string => {
  const error = Predicate.hasProperty(cause, "error") ? cause.error : cause
  return Predicate.hasProperty(error, "code") ? String(error.code) : ""
}
