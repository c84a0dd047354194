/** `BatchUpdateMetadata`, called as an agent calls it, over a real batcher. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import * as Metadata from "../../../src/agentapi/calls/Metadata.ts"
import * as MetadataBatcher from "../../../src/metadata/MetadataBatcher.ts"
import * as Metrics from "../../../src/metadata/MetadataBatcherMetrics.ts"
import { calling, session } from "../../support/agentApi.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent, start } from "../../support/metadataBatcher.ts"

/** Calls with what an agent puts on the wire. */
const connect = Effect.fnUntraced(function* (
  batcher: Pick<MetadataBatcher.MetadataBatcher["Service"], "add" | "pending">,
  logs: Array<LogRecord> = []
) {
  const { BatchUpdateMetadata } = yield* Metadata.make.pipe(
    Effect.provide(MetadataBatcher.layerTest(batcher)),
    collectLogs(logs)
  )
  const call = calling(Metadata.BatchUpdateMetadataRequest, BatchUpdateMetadata, session(agent(7)))
  return (request: unknown) => call(request).pipe(collectLogs(logs))
})

const sample = (key: string, value = "", error = "") => ({ key, result: { value, error } })

describe("BatchUpdateMetadata", () => {
  it.effect("takes a value and an error for the agent of the session, at the time of the server [MR-01]", () =>
    Effect.gen(function* () {
      const { batcher, calls, metric } = yield* start({ maxBatchSize: 2 })
      const call = yield* connect(batcher)
      yield* TestClock.setTime(1_000)

      const response = yield* call({
        metadata: [
          { key: "cpu", result: { collected_at: "2031-01-01T00:00:00Z", age: 12, value: "12 %", error: "" } },
          { key: "disk", result: { collected_at: "1999-01-01T00:00:00Z", age: -3, value: "", error: "no disk" } }
        ]
      })
      yield* TestClock.adjust(0)

      assert.deepStrictEqual(response, {})
      assert.deepStrictEqual(
        calls
          .flat()
          .map(({ agentId, collectedAt, error, key, value }) => [
            agentId,
            key,
            value,
            error,
            collectedAt.epochMilliseconds
          ]),
        [
          [agent(7), "cpu", "12 %", "", 1_000],
          [agent(7), "disk", "", "no disk", 1_000]
        ]
      )
      assert.strictEqual(metric(Metrics.batches.capacity).count, 1)
      assert.strictEqual(metric(Metrics.flushed).count, 2)
    })
  )

  it.effect("trims, and takes values and errors that are too long, cut or replaced [MR-02, MR-03, MR-04, MR-05]", () =>
    Effect.gen(function* () {
      const { batcher, calls, metric } = yield* start({ maxBatchSize: 5 })
      const call = yield* connect(batcher)

      yield* call({
        metadata: [
          sample("fits", "v".repeat(2_048)),
          sample("long", "v".repeat(2_049)),
          sample("error fits", "", "e".repeat(2_048)),
          sample("long error", "v".repeat(2_049), "e".repeat(2_049)),
          sample("spaces", "  x\n")
        ]
      })
      yield* TestClock.adjust(0)

      assert.strictEqual(metric(Metrics.flushed).count, 5)
      assert.deepStrictEqual(
        calls.flat().map(({ error, key, value }) => [key, value.length, error.slice(0, 27)]),
        [
          ["fits", 2_048, ""],
          ["long", 2_048, "value of 2049 bytes is over"],
          ["error fits", 0, "e".repeat(27)],
          ["long error", 2_048, "error of 2049 bytes is over"],
          ["spaces", 1, ""]
        ]
      )
    })
  )

  it.effect("fails for keys over 6 144 bytes after it has accepted those before [MR-06, MR-07, MR-08]", () =>
    Effect.gen(function* () {
      const { batcher, metric } = yield* start()
      const logs: Array<LogRecord> = []
      const call = yield* connect(batcher, logs)
      const full = ["a", "b", "c"].map((letter) => sample(letter.repeat(2_048)))

      assert.deepStrictEqual(yield* call({ metadata: full }), {})
      const error = yield* Effect.flip(call({ metadata: [...full, sample("d"), sample("e")] }))
      yield* batcher.flush

      assert.deepInclude(error, { _tag: "MetadataKeysTooLong", keyBytes: 6_145, limit: 6_144 })
      assert.include(String(error), "6145")
      assert.strictEqual(metric(Metrics.flushed).count, 3)
      const [warning, ...others] = logs.filter(({ level }) => level === "Warn")
      assert.deepStrictEqual(others, [])
      assert.deepInclude(warning, { message: error.message, annotations: { agentId: agent(7) } })
    })
  )

  it.effect("has no error of the batcher to pass on, and returns a defect of it with its context [MR-09]", () =>
    Effect.gen(function* () {
      const call = yield* connect({
        add: () => Effect.die("the batcher is broken"),
        pending: Effect.succeed(0)
      })

      const exit = yield* Effect.exit(call({ metadata: [sample("cpu")] }))

      assert.isTrue(Exit.isFailure(exit))
      assert.include(Exit.isFailure(exit) ? String(exit.cause) : "", "the batcher is broken")
    })
  )

  it.effect("takes an empty report [MR-10]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start()
      const call = yield* connect(batcher)

      assert.deepStrictEqual(yield* call({ metadata: [] }), {})
      assert.deepStrictEqual(yield* call({}), {})
      assert.strictEqual(yield* batcher.pending, 0)
    })
  )

  it.effect("makes no query: it needs the batcher and nothing else [MR-11]", () =>
    Effect.gen(function* () {
      // that there is no other requirement is checked by the type
      const make: Effect.Effect<unknown, never, MetadataBatcher.MetadataBatcher> = Metadata.make
      const { batcher, calls } = yield* start({ maxBatchSize: 10 })
      const call = yield* connect(batcher)

      yield* call({ metadata: [sample("cpu", "1")] })

      assert.isTrue(Effect.isEffect(make))
      assert.strictEqual(calls.length, 0)
    })
  )

  it.effect("logs keys and sizes at debug and no byte of a value [MR-12]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start()
      const logs: Array<LogRecord> = []
      const call = yield* connect(batcher, logs)

      yield* call({ metadata: [sample("token", "a secret that someone reports", "and its error")] })

      const record = logs.find(({ message }) => message.includes("reported"))
      assert.deepInclude(record, { level: "Debug", annotations: { agentId: agent(7) } })
      assert.include(record!.message, "valueBytes")
      assert.notInclude(JSON.stringify(logs), "secret")
    })
  )

  it.effect("takes an entry without a result as one without a value [MR-13]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()
      const call = yield* connect(batcher)

      yield* call({ metadata: [{ key: "cpu" }, { key: "disk", result: {} }] })
      yield* batcher.flush

      assert.deepStrictEqual(
        calls.flat().map(({ error, key, value }) => [key, value, error]),
        [
          ["cpu", "", ""],
          ["disk", "", ""]
        ]
      )
    })
  )

  it.effect("cuts a value between characters [MR-14]", () =>
    Effect.gen(function* () {
      const { batcher, calls } = yield* start()
      const call = yield* connect(batcher)

      yield* call({ metadata: [sample("emoji", "😀".repeat(600))] })
      yield* batcher.flush

      assert.strictEqual(calls[0]![0]!.value, "😀".repeat(512))
    })
  )
})
