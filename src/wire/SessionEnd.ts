/** Tells what the end of a session means to its client, by the reason for it. */
import type { CloseEvent } from "effect/socket/Socket"
import { closeEvent, type CloseReason } from "../platform/CloseCode.ts"
import type { EndReason } from "./Yamux.ts"

type OrdinaryReason = "closed" | "client gone away" | "failure of the service"

const closeReasons: { readonly [R in OrdinaryReason]: CloseReason } = {
  closed: "done",
  "client gone away": "done",
  "failure of the service": "failure"
}

const isOrdinary = (reason: EndReason): reason is OrdinaryReason => reason in closeReasons

/** Returns whether the client broke the protocol or a limit. */
export const isViolation = (reason: EndReason): boolean => !isOrdinary(reason)

/** Returns the frame that closes the WebSocket of the session. */
export const closeEventOf = (reason: EndReason): CloseEvent =>
  closeEvent(isOrdinary(reason) ? closeReasons[reason] : reason === "queue full" ? "overload" : "violation", reason)
