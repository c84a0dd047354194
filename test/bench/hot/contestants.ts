/**
 * The contestants of the hot path that are an effect or a function, beside the packages of {@link peers}. A new contestant is one
 * more constant here or there, and a place in the list at the end.
 */
import { type Cause, Context, Effect, Fiber, Layer, Queue, Schedule, type Scope, Sink, Stream } from "effect"
import { rowOf } from "../../../src/metadata/internal/report.ts"
import * as Accumulator from "../../../src/batcher/Accumulator.ts"
import * as Batcher from "../../../src/batcher/Batcher.ts"
import * as MetadataBatcher from "../../../src/metadata/MetadataBatcher.ts"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"
import { rowsOf } from "../Workload.ts"
import * as BatchSink from "../BatchSink.ts"
import type { Call, CallContestant, EffectContestant, Intake } from "./Intake.ts"
import { NewestRows } from "./NewestRows.ts"
import { peers } from "./peers.ts"
import { interval, maxBatchSize, queueCapacity } from "./settings.ts"

const startMetadataBatcher = (sink: BatchSink.BatchSink, options?: MetadataBatcher.Options) =>
  MetadataBatcher.layer({ maxBatchSize, interval, queueCapacity, ...options }).pipe(
    Layer.provide(BatchSink.layer(sink)),
    Layer.build,
    Effect.map(Context.get(MetadataBatcher.MetadataBatcher)),
    Effect.map(({ add, pending }): Intake => ({
      add: ({ agentId, entries }) => add(agentId, entries),
      waiting: pending
    }))
  )

export const metadataBatcher: EffectContestant = {
  name: "MetadataBatcher",
  start: (sink) => startMetadataBatcher(sink)
}

const boundedMetadataBatcher: EffectContestant = {
  name: "MetadataBatcher, bounded",
  remark: "bounds bytes, and entries of each agent, as in the service",
  start: (sink) => startMetadataBatcher(sink, { maxPendingBytes: 67_108_864, maxPendingPerSource: 10_000 })
}

const genericBatcher: EffectContestant = {
  name: "Batcher",
  remark: "merges by a key that it makes of agent and key",
  start: (sink) =>
    Batcher.make({
      accumulator: Accumulator.keyed({
        key: ({ agentId, key }: MetadataRow) => `${agentId} ${key}`,
        merge: (older, newer) =>
          newer.collectedAt.epochMilliseconds < older.collectedAt.epochMilliseconds ? older : newer
      }),
      write: (rows) => Effect.map(sink.ready, () => BatchSink.writeNow(sink, rows)),
      maxBatchSize,
      interval,
      queueCapacity,
      metrics: { prefix: "generic" }
    }).pipe(Effect.map(({ add, pending }) => ({ add: (report) => add(rowsOf(report)), waiting: pending })))
}

/** A bounded queue in front of a stream: what does not fit is dropped. */
const throughStream = (
  batch: (rows: Stream.Stream<MetadataRow>) => Stream.Stream<ReadonlyArray<MetadataRow>>,
  sink: BatchSink.BatchSink
): Effect.Effect<Intake, never, Scope.Scope> =>
  Effect.gen(function* () {
    const queue = yield* Queue.dropping<MetadataRow, Cause.Done>(queueCapacity)
    const writer = yield* batch(Stream.fromQueue(queue)).pipe(
      Stream.runForEach((rows) => Effect.map(sink.ready, () => BatchSink.writeNow(sink, rows))),
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() => Effect.andThen(Queue.end(queue), Fiber.await(writer)))
    return {
      add: (report) => Effect.sync(() => Queue.offerAllUnsafe(queue, rowsOf(report)).length),
      waiting: Effect.sync(() => Queue.sizeUnsafe(queue))
    }
  })

export const aggregateWithin: EffectContestant = {
  name: "Stream.aggregateWithin",
  remark: "no metrics, nobody learns of a drop but the caller",
  start: (sink) =>
    throughStream(
      (rows) =>
        rows.pipe(
          Stream.aggregateWithin(
            Sink.reduceWhile(
              () => new NewestRows(),
              (newest) => newest.size < maxBatchSize,
              (newest, row: MetadataRow) => newest.add(row)
            ),
            Schedule.spaced(interval)
          ),
          Stream.map((newest) => newest.rows())
        ),
      sink
    )
}

const groupedWithin: EffectContestant = {
  name: "Stream.groupedWithin",
  remark: "as aggregateWithin, and merges only what shares a batch",
  start: (sink) =>
    throughStream(
      (rows) =>
        rows.pipe(
          Stream.groupedWithin(maxBatchSize, interval),
          Stream.map((group) => group.reduce((newest, row) => newest.add(row), new NewestRows()).rows())
        ),
      sink
    )
}

export const plainMap: CallContestant = {
  name: "plain maps",
  remark: "limit: no effect, queue, bound, timer or metric",
  startCall: (sink) => {
    let newest = new NewestRows()
    const flush = () => {
      BatchSink.writeNow(sink, newest.rows())
      newest = new NewestRows()
    }
    const add: Call = ({ agentId, entries }) => {
      for (const entry of entries) {
        newest.add(rowOf(agentId, entry))
        if (newest.size === maxBatchSize) flush()
      }
      return 0
    }
    return Effect.acquireRelease(Effect.succeed(add), () => Effect.sync(flush))
  }
}

const plainArray: CallContestant = {
  name: "plain array",
  remark: "limit: as the plain maps, and no merging",
  startCall: (sink) => {
    let rows: Array<MetadataRow> = []
    const flush = () => {
      BatchSink.writeNow(sink, rows)
      rows = []
    }
    const add: Call = ({ agentId, entries }) => {
      for (const entry of entries) {
        rows.push(rowOf(agentId, entry))
        if (rows.length === maxBatchSize) flush()
      }
      return 0
    }
    return Effect.acquireRelease(Effect.succeed(add), () => Effect.sync(flush))
  }
}

/** Those that drop what comes too fast. */
export const bounded = [metadataBatcher, boundedMetadataBatcher, genericBatcher, aggregateWithin, groupedWithin]

export const all = [...bounded, ...peers, plainMap, plainArray]
