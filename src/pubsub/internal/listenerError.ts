/** Defines the error of the listening connection to Postgres. */
import { Schema } from "effect"

/**
 * There is no listening connection.
 *
 * - `connection`: it cannot be opened, or it broke.
 * - `silence`: it does not receive its own heartbeat. On a new connection the cause is a transaction pooler, which does
 *   not support LISTEN; later the cause is a peer that vanished without closing the connection.
 * - `read only`: its server no longer accepts writes, so that publications go to another server.
 */
export class ListenerError extends Schema.TaggedError<ListenerError>()("ListenerError", {
  /** Why there is none: see above. */
  reason: Schema.Literals(["connection", "silence", "read only"]),
  /** The error of the driver, if there is one. */
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return messages[this.reason]
  }
}

const messages = {
  connection: "the listening connection cannot be opened or broke",
  silence: "the listening connection does not hear itself; is a transaction pooler in between?",
  "read only": "the server of the listening connection became read-only"
}

/** Returns the error of a connection that broke; an error of that kind stays what it is. */
export const broken = (cause: unknown) =>
  cause instanceof ListenerError ? cause : new ListenerError({ reason: "connection", cause })
