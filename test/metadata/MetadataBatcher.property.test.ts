/**
 * The metadata batcher as a state machine against a model: samples in any order of time, a store that writes, fails, hangs,
 * dies or refuses, flushes and an end at any moment. The counted losses are those of the model.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import type { MetadataEntry, MetadataRow } from "../../src/domain/Metadata.ts"
import { agent, agentsOf, entry, failing, start } from "../support/metadataBatcher.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Sample = Schema.Struct({ agent: int(1, 2), key: int(0, 3), millis: int(0, 5) })

const Step = Schema.Union([
  Schema.TaggedStruct("Add", { samples: Schema.Array(Sample).check(Schema.isMaxLength(5)) }),
  Schema.TaggedStruct("Wait", { millis: int(0, 400) }),
  Schema.TaggedStruct("Flush", {})
])

const Answer = Schema.Literals([
  "written",
  "written late",
  "unavailable",
  "cancelled",
  "unavailable late",
  "died",
  "hung"
])

const Run = Schema.Struct({
  maxBatchSize: int(1, 4),
  queueCapacity: int(1, 4),
  spare: int(0, 4),
  /** The bytes of so many rows; 0: no limit. */
  rows: int(0, 4),
  /** The entries of one agent that may be held; 0: no limit. */
  quota: int(0, 4),
  onWriteFailure: Schema.Literals(["discard", "retain"]),
  refusesKey3: Schema.Boolean,
  steps: Schema.Array(Step).check(Schema.isMaxLength(30)),
  answers: Schema.Array(Answer).check(Schema.isMaxLength(15))
})

const nameOf = (agentId: string, key: string) => `${agentId} ${key}`

/** The newest sample of each key: the one collected last, at equal times the one that came last. */
class Newest {
  readonly entries = new Map<string, MetadataEntry>()

  put(agentId: string, sample: MetadataEntry) {
    const name = nameOf(agentId, sample.key)
    const held = this.entries.get(name)
    if (held !== undefined && held.collectedAt.epochMilliseconds > sample.collectedAt.epochMilliseconds) return
    this.entries.set(name, sample)
  }
}

const check = Effect.fnUntraced(function* (run: typeof Run.Type) {
  const accepted = new Newest()
  const stored = new Newest()
  let calls = 0
  let samples = 0
  let dropped = 0

  const answer = (rows: ReadonlyArray<MetadataRow>) => {
    switch (run.answers[calls++]) {
      case "written late":
        return Effect.sleep("150 millis")
      case "unavailable":
        return failing("unavailable")(rows)
      case "unavailable late":
        return Effect.delay(failing("unavailable")(rows), "150 millis")
      case "cancelled":
        return failing("cancelled")(rows)
      case "died":
        return Effect.die("a bug in the store")
      case "hung":
        return Effect.never
      default:
        return run.refusesKey3 && rows.some(({ key }) => key === "3") ? failing("rejected")(rows) : Effect.void
    }
  }

  const { batcher, close, metric } = yield* start({
    maxBatchSize: run.maxBatchSize,
    queueCapacity: run.queueCapacity,
    maxPending: run.maxBatchSize + run.spare,
    maxPendingBytes: run.rows * 220,
    maxPendingPerSource: run.quota,
    onWriteFailure: run.onWriteFailure,
    interval: "300 millis",
    shutdownTimeout: "1 seconds",
    write: (rows) =>
      Effect.map(answer(rows), () => {
        for (const row of rows) stored.put(row.agentId, row)
        return agentsOf(rows)
      })
  })

  for (const step of run.steps) {
    if (step._tag === "Wait") yield* TestClock.adjust(step.millis)
    else if (step._tag === "Flush") yield* Effect.forkChild(batcher.flush, { startImmediately: true })
    else {
      for (const { agent: number, key, millis } of step.samples) {
        const sample = entry(String(key), `sample ${samples++}`, millis)
        // one by one, so that it is known which one was dropped
        const refused = yield* batcher.add(agent(number), [sample])
        dropped += refused
        if (refused === 0) accepted.put(agent(number), sample)
      }
    }
  }
  const closing = yield* Effect.forkChild(close, { startImmediately: true })
  yield* TestClock.adjust("1 seconds")
  assert.isDefined(closing.pollUnsafe(), "closing takes too long")

  const lost = Object.values(Metrics.lostKeys).reduce((sum, reason) => sum + metric(reason).count, 0)
  const written = metric(Metrics.flushed).count
  const missing = [...accepted.entries].filter(([name, { value }]) => stored.entries.get(name)?.value !== value)
  assert.strictEqual(metric(Metrics.droppedKeys).count, dropped)
  assert.strictEqual(metric(Metrics.acceptedKeys).count, samples - dropped)
  assert.isAtMost(missing.length, lost, "keys are lost that were not counted")
  const merged = metric(Metrics.mergedKeys).count
  assert.strictEqual(written + merged + lost, samples - dropped, "what was accepted has more or fewer ends")
}, Effect.scoped)

describe("MetadataBatcher", () => {
  it.effect.prop("loses no key's newest sample without counting it", { run: Run }, ({ run }) => check(run), {
    arbitrary: { runs: 1_000 }
  })
})
