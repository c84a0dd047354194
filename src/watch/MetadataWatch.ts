/**
 * Watching the metadata of one agent: an actor for each watcher.
 *
 * - It is subscribed before it reads for the first time, so that no change falls between the two.
 * - The whole list comes at once, again one second later, and from then on when something has changed, at most once a
 *   second, but at least every five seconds, so that ages stay fresh.
 * - All watchers of a process share one subscription: an announcement is gone through once for all of them.
 * - A change only marks the list as stale; it is read again when the next event is due. However many changes there are,
 *   a watcher asks for at most one read a second, and for one at all while its client does not take what was sent.
 * - Reads of a process that fall due within 50 milliseconds are one statement; the first list of each is read on its own,
 *   at once. A statement begins after its lists were marked as fresh, so that a change during it marks them as stale again.
 * - A `Resync` of the subscription counts as a change, so that a lost announcement is made good within a second.
 * - A read that fails ends the watches that it was for with an `error` event, one that was cancelled ends them without a
 *   word. So does the end of the subscription. A watch that ends takes its read from no other.
 * - Every fifteen seconds there is a `ping`.
 * - Intervals are what time has passed, whatever becomes of the time of day; of that only ages are told.
 */
import { Context, DateTime, Effect, Layer, type Scope, Stream } from "effect"
import type { StoreError } from "../domain/StoreError.ts"
import { MetadataStore } from "../metadata/MetadataStore.ts"
import type { AgentId } from "../domain/Ids.ts"
import type { AgentMetadata } from "../domain/Metadata.ts"
import * as MetadataView from "../domain/MetadataView.ts"
import type { PubSub } from "../pubsub/PubSub.ts"
import * as Changes from "./internal/changes.ts"
import { passedMillis } from "./internal/passedMillis.ts"
import * as Reads from "./internal/reads.ts"
import { type WatchEvent, MetadataUnavailable } from "./WatchApi.ts"

/** The pause between two looks at whether there is something to send. */
export const tick = "1 second"

/** The list is sent when this has passed since it was, although nothing has changed. In milliseconds. */
export const refreshMillis = 5_000

/** A ping is sent when this has passed since there was one. In milliseconds. */
export const heartbeatMillis = 15_000

export class MetadataWatch extends Context.Service<
  MetadataWatch,
  {
    /** The metadata of an agent as it is now. */
    readonly read: (agentId: AgentId) => Effect.Effect<ReadonlyArray<MetadataView.MetadataView>, MetadataUnavailable>
    /** Begins to watch an agent; the first event is there already. The watch ends with the scope. */
    readonly open: (agentId: AgentId) => Effect.Effect<Stream.Stream<WatchEvent>, MetadataUnavailable, Scope.Scope>
  }
>()("metadata-batcher/watch/MetadataWatch") {}

export const make = Effect.gen(function* () {
  const changes = yield* Changes.make
  const store = yield* MetadataStore
  const readTogether = yield* Reads.make

  const open = Effect.fn("MetadataWatch.open")(function* (agentId: AgentId) {
    const rows = new Map<string, AgentMetadata>()
    let isStale = true

    // added first, so that it runs when all else of the watch has ended
    yield* Effect.addFinalizer(() => Effect.annotateLogs(Effect.logDebug("a watcher has left"), { agentId }))
    const { over } = yield* changes
      .listen(agentId, () => {
        isStale = true
      })
      .pipe(Effect.mapError(unavailable("metadata changes cannot be subscribed to")))

    const refresh = Effect.fnUntraced(function* (read: Effect.Effect<ReadonlyArray<AgentMetadata>, StoreError>) {
      isStale = false
      for (const row of yield* read) rows.set(row.key, row)
    })
    yield* Effect.mapError(refresh(store.read(agentId)), unavailable("metadata cannot be read"))

    let sends = 0
    let sentAt = 0
    let pingedAt = yield* passedMillis
    const next = Effect.gen(function* () {
      const events: Array<WatchEvent> = []
      const isNews = isStale || sends < 2
      if (isStale) yield* refresh(readTogether(agentId))
      const now = yield* passedMillis
      if (isNews || now - sentAt >= refreshMillis) {
        events.push({ type: "data", data: MetadataView.make(rows.values(), yield* DateTime.now) })
        sends++
        sentAt = now
      }
      if (now - pingedAt >= heartbeatMillis) {
        events.push({ type: "ping" })
        pingedAt = now
      }
      return events
    })

    return Stream.tick(tick).pipe(
      Stream.mapEffect(() => next),
      Stream.flattenIterable,
      Stream.catch(readFailed),
      Stream.interruptWhen(over)
    )
  })

  const read = Effect.fn("MetadataWatch.read")(function* (agentId: AgentId) {
    const rows = yield* Effect.mapError(store.read(agentId), unavailable("metadata cannot be read"))
    return MetadataView.make(rows, yield* DateTime.now)
  })

  return MetadataWatch.of({ open, read })
})

export const layer: Layer.Layer<MetadataWatch, never, MetadataStore | PubSub> = Layer.effect(MetadataWatch, make)

const unavailable = (message: string) => (cause: Error) => new MetadataUnavailable({ message, detail: cause.message })

const readFailed = (error: StoreError): Stream.Stream<WatchEvent> =>
  error.reason === "cancelled"
    ? Stream.empty
    : Stream.fromEffect(
        Effect.as(Effect.logError("metadata of a watched agent cannot be read", error), {
          type: "error",
          data: { message: "metadata cannot be read", detail: error.message }
        })
      )
