/** The overview over HTTP. Every user may read it: it holds no values, and names no agent. */
import { Effect, Layer, Stream } from "effect"
import { HttpEffect, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import * as Authentication from "../access/Authentication.ts"
import { OverviewApi, type OverviewSse } from "./OverviewApi.ts"
import { type Event, OverviewFeed } from "./OverviewFeed.ts"

const handlers = HttpApiBuilder.group(
  OverviewApi,
  "overview",
  Effect.fnUntraced(function* (handlers) {
    const feed = yield* OverviewFeed
    return handlers
      .handle("overview", () => feed.current)
      .handle("watch", () => Effect.as(HttpEffect.appendPreResponseHandler(unbuffered), Stream.map(feed.watch, toSse)))
  })
)

export const layer = HttpApiBuilder.layer(OverviewApi).pipe(
  Layer.provide(handlers),
  Layer.provide([Authentication.layerReader, HttpApiMiddleware.layerProblemDetails({ includeDetails: true })])
)

// without these a proxy may hold the events back
const unbuffered: HttpEffect.PreResponseHandler = (_, response) =>
  Effect.succeed(HttpServerResponse.setHeaders(response, { "cache-control": "no-cache", "x-accel-buffering": "no" }))

const toSse = (event: Event): typeof OverviewSse.Type =>
  event.type === "history" ? { event: "history", data: event.data } : { event: "overview", data: event.data }
