/** The handlers of {@link OverviewApi}. Every user may read the overview: it holds no values and names no agent. */
import { Effect, Layer, Stream } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import * as Authentication from "../access/Authentication.ts"
import { layerRequestValidation } from "../platform/ErrorResponse.ts"
import * as EventStream from "../platform/EventStream.ts"
import { OverviewApi, type OverviewSse } from "./OverviewApi.ts"
import { type Event, OverviewFeed } from "./OverviewFeed.ts"

const handlers = HttpApiBuilder.group(
  OverviewApi,
  "overview",
  Effect.fnUntraced(function* (handlers) {
    const feed = yield* OverviewFeed
    return handlers
      .handle("overview", () => feed.current)
      .handle("history", ({ query: { range } }) => feed.history(range))
      .handle("watch", () => Effect.as(EventStream.prepare, Stream.map(feed.watch, toSse)))
  })
)

export const layer = HttpApiBuilder.layer(OverviewApi).pipe(
  Layer.provide(handlers),
  Layer.provide([Authentication.layerReader, layerRequestValidation])
)

const toSse = (event: Event): typeof OverviewSse.Type =>
  event.type === "history" ? { event: "history", data: event.data } : { event: "overview", data: event.data }
