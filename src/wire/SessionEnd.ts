/** Tells what the end of a session means to its client, by the reason for it. */
import type { CloseEvent } from "effect/socket/Socket"
import { closeEvent, type CloseReason } from "../platform/CloseCode.ts"
import type { EndReason } from "./Yamux.ts"

/** The meaning of the close code. Every other reason is a violation. */
const closeReasons: { readonly [R in EndReason]?: CloseReason } = {
  closed: "done",
  "client gone away": "done",
  "failure of the service": "failure",
  "queue full": "overload"
}

/** Reasons that are not the client's fault. */
const ordinaryReasons: ReadonlySet<EndReason> = new Set(["closed", "client gone away", "failure of the service"])

/** Returns whether the client broke the protocol or a limit. */
export const isViolation = (reason: EndReason): boolean => !ordinaryReasons.has(reason)

/** Returns the frame that closes the WebSocket of the session. */
export const closeEventOf = (reason: EndReason): CloseEvent => closeEvent(closeReasons[reason] ?? "violation", reason)
