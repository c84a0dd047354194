/** The logs of writes. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, References } from "effect"
import { TestClock } from "effect/testing"
import * as MetadataStore from "../../src/metadata/MetadataStore.ts"
import { agent, entries, failing, gated, inTurn, start, well } from "../support/metadataBatcher.ts"

const settle = TestClock.adjust(0)

describe("the logs of a MetadataBatcher", () => {
  it.effect("logs a cancelled write at debug and any other failure as an error [MB-32]", () =>
    Effect.gen(function* () {
      const { batcher, logs } = yield* start({
        write: inTurn(failing("cancelled"), failing("unavailable"), () => Effect.die("a bug in the store"))
      })
      for (let flush = 0; flush < 3; flush++) {
        yield* batcher.add(agent(1), entries(1))
        yield* batcher.flush
      }

      assert.deepStrictEqual(
        logs.filter(({ message }) => message.includes("could not be written")).map(({ level }) => level),
        ["Debug", "Error", "Error"]
      )
    })
  )

  it.effect("leaves a debug record before and after each write, and when draining begins [MB-51]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { batcher, close, logs } = yield* start({ write: inTurn(gated(gate)) }).pipe(
        Effect.provideService(References.MinimumLogLevel, "Debug")
      )
      const records = () =>
        logs.filter(({ level }) => level === "Debug").map(({ annotations, message }) => [message, annotations.entries])
      yield* batcher.add(agent(1), entries(3))
      const flushing = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      yield* settle
      assert.deepStrictEqual(records(), [["writing metadata", 3]])

      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(flushing)
      yield* batcher.add(agent(2), entries(2))
      yield* Effect.provideService(close, References.MinimumLogLevel, "Debug")

      assert.deepStrictEqual(records(), [
        ["writing metadata", 3],
        ["metadata written", 3],
        ["metadata batcher draining", 2],
        ["writing metadata", 2],
        ["metadata written", 2]
      ])
    })
  )

  it.effect(
    "logs of a failed write its trigger, its entries, its time and its cause, and of a write all but the cause",
    () =>
      Effect.gen(function* () {
        for (const onWriteFailure of ["discard", "retain"] as const) {
          const slowly = (write: typeof well) => (rows: Parameters<typeof well>[0]) =>
            Effect.delay(write(rows), "1250 millis")
          const { batcher, logs } = yield* start({
            onWriteFailure,
            write: inTurn(slowly(failing("unavailable")), slowly(well))
          }).pipe(Effect.provideService(References.MinimumLogLevel, "Debug"))
          yield* batcher.add(agent(1), entries(3))
          yield* TestClock.adjust("6250 millis")
          yield* batcher.add(agent(1), entries(4))
          yield* TestClock.adjust("1 minute")

          const failed = logs.find(({ message }) => message.includes("could not be written"))!
          const fate = onWriteFailure === "retain" ? "kept" : "lost"
          assert.include(failed.message, `metadata could not be written and is ${fate}`)
          assert.include(failed.cause, "StoreError")
          assert.deepInclude(failed.annotations, { reason: "scheduled", entries: 3, elapsedMillis: 1_250 })
          const written = logs.find(({ message }) => message === "metadata written")!
          assert.deepInclude(written.annotations, { reason: "scheduled", entries: 4, elapsedMillis: 1_250 })
        }
      })
  )

  it.effect("logs a write that took too long as a warning [MB-52]", () =>
    Effect.gen(function* () {
      const { batcher, logs } = yield* start({
        write: () =>
          Effect.never.pipe(
            Effect.timeout("2 seconds"),
            Effect.mapError((cause) => new MetadataStore.MetadataStoreError({ reason: "unavailable", cause }))
          )
      })
      yield* batcher.add(agent(1), entries(1))
      const flushing = yield* Effect.forkChild(batcher.flush)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(flushing)

      const record = logs.find(({ message }) => message.includes("could not be written"))
      assert.deepInclude(record, { level: "Warn" })
    })
  )
})
