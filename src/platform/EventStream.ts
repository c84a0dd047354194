/**
 * Server-sent events as proxies and strict readers need them.
 *
 * - A proxy is told not to hold events back.
 * - A ping is `event: ping` and a blank line. The reader of the original's programs takes a `data:` line of a ping for
 *   an error and reconnects.
 */
import { Effect, Stream } from "effect"
import { HttpBody, HttpEffect, HttpServerResponse } from "effect/http"
import { encoder } from "effect/encoding/Sse"

/** Prepares the response. A handler runs it before it returns its stream. */
export const prepare = Effect.suspend(() => HttpEffect.appendPreResponseHandler(asEventStream))

const asEventStream: HttpEffect.PreResponseHandler = (_, response) => {
  const { body } = response
  const unbuffered = HttpServerResponse.setHeaders(response, {
    "cache-control": "no-cache",
    "x-accel-buffering": "no"
  })
  return Effect.succeed(
    body._tag === "Stream"
      ? HttpServerResponse.setBody(
          unbuffered,
          HttpBody.stream(Stream.map(body.stream, withoutPingData), body.contentType)
        )
      : unbuffered
  )
}

const pingWithData = new TextEncoder().encode(encoder.write({ _tag: "Event", event: "ping", id: undefined, data: "" }))

const ping = new TextEncoder().encode("event: ping\n\n")

/** Each event is one chunk of the stream. */
const withoutPingData = (event: Uint8Array): Uint8Array =>
  event.length === pingWithData.length && event.every((byte, index) => byte === pingWithData[index]) ? ping : event
