/**
 * Collects the metadata that agents report, writes the newest value of each agent and key in batches, and announces on
 * one channel which agents changed.
 *
 * It is a {@link Batcher} and has its guarantees; beyond them:
 *
 * - Of the entries of one agent and key the one collected last is written; at equal times the one added last.
 * - The agents of whom the store changed a row are announced after the write, up to 363 in a message, and nobody else
 *   is. An announcement that fails is counted and logged; the write stands.
 * - A write runs with the services of the batcher, never with those of whoever added to it.
 * - Every entry that was not accepted, or was lost, is counted under its reason. No log contains a value.
 * - Where there is a tracer a write has a span, which links to those of the reports that its rows are of, and within
 *   which the announcement has one. No attribute contains a value.
 */
import { Cause, Clock, Context, Duration, Effect, Layer, LogLevel, type Metric, Option, type Scope } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import type { MetadataEntry, MetadataRow } from "../domain/Metadata.ts"
import * as Tracing from "../domain/Tracing.ts"
import * as Utf8 from "../domain/Utf8.ts"
import * as PubSub from "../pubsub/PubSub.ts"
import * as AgentIdChunks from "./AgentIdChunks.ts"
import * as Batcher from "../batcher/Batcher.ts"
import * as Settings from "../batcher/BatcherSettings.ts"
import { makeReportSpans } from "./internal/reportSpans.ts"
import { newestMetadata } from "./internal/newestMetadata.ts"
import { Report } from "./internal/report.ts"
import * as Metrics from "./MetadataBatcherMetrics.ts"
import * as MetadataStore from "./MetadataStore.ts"

export { channel } from "./MetadataStore.ts"

export interface Options extends Settings.Settings {
  /** Dropped entries are logged as a warning at most once in this time, otherwise at debug. Default 10 seconds. */
  readonly dropWarningInterval?: Duration.Input | undefined
}

export class MetadataBatcher extends Context.Service<
  MetadataBatcher,
  {
    /**
     * Accepts what an agent reported and answers how many entries were dropped. Never fails, never waits. Neither the
     * array nor its entries may be changed afterwards.
     */
    readonly add: (agentId: AgentId, entries: ReadonlyArray<MetadataEntry>) => Effect.Effect<number>
    /** Writes everything that is pending now; returns when it is written, or when an attempt to do so has failed. */
    readonly flush: Effect.Effect<void>
    /** Entries accepted and not yet handed to the store. */
    readonly pending: Effect.Effect<number>
  }
>()("metadata-batcher/metadata/MetadataBatcher") {}

/** A metadata batcher that lives as long as the scope; what `layer` provides. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<MetadataBatcher["Service"], never, MetadataStore.MetadataStore | PubSub.PubSub | Scope.Scope> {
  const store = yield* MetadataStore.MetadataStore
  const pubsub = yield* PubSub.PubSub
  const context = yield* Effect.context<never>()
  const spans = Tracing.isEnabled(context) ? makeReportSpans() : undefined
  const logsBatches = yield* LogLevel.isEnabled("Debug")
  const update = <Input>(metric: Metric.Metric<Input, unknown>, input: Input) => metric.updateUnsafe(input, context)

  const publish = (chunk: string) => {
    const size = { agents: chunk.length / AgentIdChunks.encodedLength, bytes: chunk.length }
    const published = pubsub.publish(MetadataStore.channel, chunk)
    return (
      spans === undefined ? published : spans.publish(published, { channel: MetadataStore.channel, ...size })
    ).pipe(
      Effect.catchCause((cause) => {
        update(Metrics.publishErrors, 1)
        return Effect.annotateLogs(Effect.logError("changed agents could not be announced", cause), size)
      })
    )
  }

  const announce = (agents: ReadonlyArray<AgentId>) =>
    Effect.suspend(() => Effect.forEach(AgentIdChunks.encode(agents), publish, { discard: true })).pipe(
      Effect.catchDefect((defect) => Effect.logError("changed agents could not be encoded", defect))
    )

  const write = (rows: ReadonlyArray<MetadataRow>) => Effect.flatMap(store.updateBatch(rows), announce)

  const batcher = yield* Batcher.make({
    ...options,
    accumulator: newestMetadata,
    sizeOf: rowBytes,
    write: spans === undefined ? write : (rows, reason) => spans.flush(rows, reason, write(rows)),
    isRejection: (error) => error.reason === "rejected",
    observer: {
      onTake: (rows) => {
        forEachAgent(rows, tally.utilization)
        return Effect.void
      },
      onWritten: ({ count, elapsed, reason }) => {
        update(Metrics.batchSize, count)
        update(Metrics.flushed, count)
        update(Metrics.batches[reason], 1)
        update(Metrics.flushDuration[reason], Duration.toSeconds(elapsed))
        return logsBatches
          ? Effect.annotateLogs(Effect.logDebug("metadata written"), {
              reason,
              entries: count,
              elapsed: Duration.format(elapsed)
            })
          : Effect.void
      },
      onFailed: ({ cause, elapsed, reason, retained, unwritten }) =>
        Effect.suspend(() => {
          const answer = Option.match(Cause.findErrorOption(cause), {
            onNone: () => "defect" as const,
            onSome: (error) => error.reason
          })
          update(Metrics.flushFailures[answer], 1)
          update(retained ? Metrics.retainedKeys : Metrics.lostKeys.write_failed, unwritten.length)
          return Effect.logWithLevel(answer === "cancelled" ? "Debug" : "Error")(
            retained ? "metadata could not be written and is kept" : "metadata could not be written and is lost",
            cause
          ).pipe(Effect.annotateLogs({ reason, entries: unwritten.length, elapsed: Duration.format(elapsed) }))
        }),
      // without the cause: what a database says about bad data repeats the data
      onRejected: ({ agentId, key }) =>
        Effect.suspend(() => {
          update(Metrics.lostKeys.rejected, 1)
          return Effect.logError("the store refused an entry, which is lost").pipe(
            Effect.annotateLogs({ agentId, key })
          )
        }),
      onClosed: ({ cutOff, written }) =>
        Effect.suspend(() => {
          update(Metrics.lostKeys.shutdown, cutOff)
          return Effect.logWithLevel(cutOff > 0 ? "Warn" : "Info")("the metadata batcher has closed").pipe(
            Effect.annotateLogs({ written, lost: cutOff })
          )
        })
    }
  })
  const tally = yield* Metrics.register(batcher.sizesUnsafe)

  // the original's ticker has a buffer of one: a tick that nobody took stays, further ones pass
  const warnEvery = yield* Settings.duration("dropWarningInterval", options.dropWarningInterval, Duration.seconds(10))
  const startedAt = yield* Clock.currentTimeMillis
  let lastTick = 0
  const takeTick = (now: number): boolean => {
    const tick = Math.floor((now - startedAt) / Duration.toMillis(warnEvery))
    const isNew = tick > lastTick
    lastTick = tick
    return isNew
  }

  const reportDrop = Effect.fnUntraced(function* (agentId: AgentId, dropped: number) {
    const reason = batcher.isOpenUnsafe() ? "full" : "closed"
    update(Metrics.droppedKeys, dropped)
    update(Metrics.droppedKeysByReason[reason], dropped)
    const level = takeTick(yield* Clock.currentTimeMillis) ? "Warn" : "Debug"
    yield* Effect.logWithLevel(level)("metadata was dropped").pipe(
      Effect.annotateLogs({ agentId, dropped, reason, queueCapacity: batcher.queueCapacity })
    )
    return dropped
  })

  const add = (report: Report) => {
    const dropped = batcher.addUnsafe(report)
    tally.accepted(report.length - dropped)
    return dropped === 0 ? nothingDropped : reportDrop(report.agentId, dropped)
  }

  return {
    add:
      spans === undefined
        ? (agentId, entries) => Effect.suspend(() => add(new Report(agentId, entries)))
        : (agentId, entries) =>
            Effect.withFiber(({ context }) => add(new Report(agentId, entries, spans.note(context)))),
    flush: batcher.flush,
    pending: batcher.pending
  }
})

/**
 * The metadata batcher. Closing the layer's scope writes what was accepted, within `shutdownTimeout`. Settings that make
 * no sense are a defect, {@link Settings.InvalidSetting}.
 */
export const layer = (
  options?: Options
): Layer.Layer<MetadataBatcher, never, MetadataStore.MetadataStore | PubSub.PubSub> =>
  Layer.effect(MetadataBatcher, make(options))

const nothingDropped = Effect.succeed(0)

/** What a row takes in a statement: its texts, its id and its time. */
const rowBytes = (row: MetadataRow): number =>
  Utf8.byteLength(row.key) + Utf8.byteLength(row.value) + Utf8.byteLength(row.error) + 16 + 8

/** Tells how many rows each agent has; the rows of one agent stand side by side. */
const forEachAgent = (rows: ReadonlyArray<MetadataRow>, tell: (count: number) => void): void => {
  let first = 0
  for (let next = 1; next <= rows.length; next++) {
    if (next < rows.length && rows[next]!.agentId === rows[first]!.agentId) continue
    tell(next - first)
    first = next
  }
}
