/** Counts how often each page is seen: of a thousand views of one page one update is written. */
import { Console, Context, Data, Effect, Layer } from "effect"
import { Accumulator, Batcher } from "metadata-batcher"

export interface Views {
  readonly url: string
  readonly count: number
}

export class StoreAway extends Data.TaggedError("StoreAway") {}

/** Where counts go: in an application with a database, one statement that adds each count of the batch to its page. */
export class ViewStore extends Context.Service<
  ViewStore,
  { readonly add: (batch: ReadonlyArray<Views>) => Effect.Effect<void, StoreAway> }
>()("app/ViewStore") {}

export class PageViews extends Batcher.Service<PageViews, Views, StoreAway>()("app/PageViews") {}

// Our rule: two counts of one page are their sum.
const byUrl = Accumulator.keyed({
  key: (views: Views) => views.url,
  merge: (older, newer) => ({ url: newer.url, count: older.count + newer.count })
})

/** A failed batch is put back, and merges with the views that came meanwhile. Closing the layer writes what is pending. */
export const layer = Batcher.layer(PageViews, {
  accumulator: byUrl,
  write: (batch) => ViewStore.use(({ add }) => add(batch)),
  interval: "1 second",
  onWriteFailure: "retain",
  maxPending: 10_000,
  metrics: { prefix: "page_views" }
})

/** Counts a view. Never fails and never waits; a view that finds no room is not counted. */
export const see = (url: string) => PageViews.use(({ add }) => add([{ url, count: 1 }]))

const program = Effect.forEach(["/", "/docs", "/"], see)

const Printed = Layer.succeed(ViewStore, {
  add: (batch) => Console.log(batch.map(({ count, url }) => `${url} ${count}`).join("\n"))
})

if (import.meta.main) await Effect.runPromise(Effect.provide(program, Layer.provide(layer, Printed)))
