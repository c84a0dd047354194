/** HTTP responses that several APIs share. */
import { HttpServerResponse } from "effect/http"

/** The response to a request that has to ask for a WebSocket and does not. */
export const upgradeRequired = (message: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(
    { _tag: "UpgradeRequired", message },
    { status: 426, headers: { upgrade: "websocket" } }
  )
