/**
 * The close codes of WebSockets: they tell a client whether to reconnect. Programs of the original never reconnect
 * after 1000 and 1001, so the service uses neither code for a client that should reconnect.
 */
import { CloseEvent } from "effect/socket/Socket"

export const closeCodes = {
  /** The service stops, restarts or drains: reconnect. */
  restart: 1012,
  /** More waits for the client than the service holds: reconnect later. */
  overload: 1013,
  /** The token or the right to read is gone: do not reconnect with this token. */
  forbidden: 1008,
  /** The service failed, or the client left pings without an answer or took nothing: reconnect. */
  failure: 1011,
  /** The client broke the protocol: reconnecting does not help before the program is mended. */
  violation: 1002,
  /** The client has ended its session: there is nothing to reconnect for. */
  done: 1000
} as const

export type CloseReason = keyof typeof closeCodes

/** The frame that closes a connection. The text is for people. */
export const closeEvent = (reason: CloseReason, text: string): CloseEvent => new CloseEvent(closeCodes[reason], text)
