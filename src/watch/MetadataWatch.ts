/**
 * Follows the metadata of one agent: one actor per watcher.
 *
 * - The actor subscribes before its first read, so that no change falls between the two.
 * - The whole list comes at once, again after one second, and then at most once a second when something has changed, but
 *   at least every five seconds, so that ages stay fresh. A `ping` comes every fifteen seconds.
 * - All watchers of a process share one subscription, which parses an announcement once.
 * - A change, or a `Resync`, only marks the list as stale; the list is read when the next event is due. However many
 *   changes there are, a watcher reads at most once a second, and once at all while its client does not take the events.
 * - Reads of a process that fall due within 50 milliseconds are one statement; the first list of each watcher is read at
 *   once. The mark is taken off before the statement begins, so that a change during the statement causes another one.
 * - A read that fails ends the watches that it was for with an `error` event; a cancelled one ends them without an event.
 *   So does the end of the subscription. A watch that ends cancels the read of no other.
 * - Intervals follow the monotonic clock; only ages come from the time of day.
 */
import { Context, DateTime, Effect, Layer, Metric, Schema, type Scope, Stream } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import type { AgentMetadata } from "../domain/Metadata.ts"
import * as MetadataView from "../domain/MetadataView.ts"
import type { StoreError } from "../domain/StoreError.ts"
import { MetadataStore } from "../metadata/MetadataStore.ts"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import type { PubSub } from "../pubsub/PubSub.ts"
import * as Changes from "./internal/changes.ts"
import * as Reads from "./internal/reads.ts"
import type { WatchFailure } from "./WatchFailure.ts"
import * as WatchMetrics from "./WatchMetrics.ts"

/** The pause between two checks for a due event. */
export const tick = "1 second"

/** The longest time from one list to the next, in milliseconds. */
export const refreshMillis = 5_000

/** The time from one ping to the next, in milliseconds. */
export const heartbeatMillis = 15_000

/** Metadata cannot be read, or its changes cannot be followed. */
export class MetadataUnavailable extends Schema.TaggedError<MetadataUnavailable>()(
  "MetadataUnavailable",
  { message: Schema.String, detail: Schema.String },
  { httpApiStatus: 500 }
) {}

/** An event of the watch: all metadata of the agent, why the watch ends, or a heartbeat. */
export type WatchEvent =
  | { readonly type: "data"; readonly data: ReadonlyArray<MetadataView.MetadataView> }
  | { readonly type: "error"; readonly data: WatchFailure }
  | { readonly type: "ping" }

export class MetadataWatch extends Context.Service<
  MetadataWatch,
  {
    /** Returns the metadata of an agent as it is now. */
    readonly read: (agentId: AgentId) => Effect.Effect<ReadonlyArray<MetadataView.MetadataView>, MetadataUnavailable>
    /** Watches an agent until the scope closes. The first event is ready when this succeeds. */
    readonly open: (agentId: AgentId) => Effect.Effect<Stream.Stream<WatchEvent>, MetadataUnavailable, Scope.Scope>
  }
>()("metadata-batcher/watch/MetadataWatch") {}

export const make = Effect.gen(function* () {
  const changes = yield* Changes.make
  const store = yield* MetadataStore
  const readTogether = yield* Reads.make

  const open = Effect.fn("MetadataWatch.open")(function* (agentId: AgentId) {
    const rows = new Map<string, AgentMetadata>()
    let isStale: boolean
    /** The time of collection of the oldest value that this watcher has not seen. */
    let unseenSince = Infinity

    // finalizers run in reverse order: this record comes after everything else of the watch
    yield* Effect.addFinalizer(() => Effect.logDebug("metadata watcher left"))
    const { ended } = yield* changes
      .listen(agentId, () => {
        isStale = true
      })
      .pipe(Effect.mapError(unavailable("metadata changes cannot be subscribed to")))

    const refresh = Effect.fnUntraced(function* (read: Effect.Effect<ReadonlyArray<AgentMetadata>, StoreError>) {
      isStale = false
      for (const row of yield* read) {
        const collectedAt = row.collectedAt.epochMilliseconds
        const before = rows.get(row.key)?.collectedAt.epochMilliseconds ?? Infinity
        if (collectedAt > before) unseenSince = Math.min(unseenSince, collectedAt)
        rows.set(row.key, row)
      }
    })
    yield* Effect.mapError(refresh(store.read(agentId)), unavailable("metadata cannot be read"))

    let sends = 0
    let sentAt = 0
    let pingedAt = yield* MonotonicClock.millis
    const poll = Effect.gen(function* () {
      const events: Array<WatchEvent> = []
      const isDue = isStale || sends < 2
      if (isStale) yield* refresh(readTogether(agentId))
      const now = yield* MonotonicClock.millis
      if (isDue || now - sentAt >= refreshMillis) {
        const time = yield* DateTime.now
        events.push({ type: "data", data: MetadataView.make(rows.values(), time) })
        if (unseenSince !== Infinity) {
          yield* Metric.update(WatchMetrics.delay, (time.epochMilliseconds - unseenSince) / 1_000)
          unseenSince = Infinity
        }
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
      Stream.mapEffect(() => poll),
      Stream.flattenIterable,
      Stream.catch(readFailed(agentId)),
      Stream.interruptWhen(ended)
    )
  })

  const read = Effect.fn("MetadataWatch.read")(function* (agentId: AgentId) {
    const rows = yield* Effect.mapError(store.read(agentId), unavailable("metadata cannot be read"))
    return MetadataView.make(rows, yield* DateTime.now)
  })

  return MetadataWatch.of({ open: (agentId) => Effect.annotateLogs(open(agentId), { agentId }), read })
})

export const layer: Layer.Layer<MetadataWatch, never, MetadataStore | PubSub> = Layer.effect(MetadataWatch, make)

const unavailable = (message: string) => (cause: Error) => new MetadataUnavailable({ message, detail: cause.message })

const readFailed =
  (agentId: AgentId) =>
  (error: StoreError): Stream.Stream<WatchEvent> =>
    error.reason === "cancelled"
      ? Stream.empty
      : Stream.fromEffect(
          Effect.logError("metadata of a watched agent cannot be read", error).pipe(
            Effect.annotateLogs({ agentId }),
            Effect.as({ type: "error", data: { message: "metadata cannot be read", detail: error.message } })
          )
        )
