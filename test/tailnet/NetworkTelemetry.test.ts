/** The reports of clients about their connections: batches, losses, and the counts of both. */
import { create } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Metric, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as NetworkTelemetry from "../../src/tailnet/NetworkTelemetry.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import { TelemetryEventSchema } from "../../src/wire/generated/tailnet_pb.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { isolated } from "../support/isolated.ts"
import { levelsOf } from "./scriptedReplica.ts"

const events = (count: number) =>
  Array.from({ length: count }, (_, index) => create(TelemetryEventSchema, { application: `app ${index}` }))

const counts = Effect.map(
  Effect.all([Metric.value(Metrics.telemetryEvents.received), Metric.value(Metrics.telemetryEvents.lost)]),
  ([received, lost]) => ({ received: Number(received.count), lost: Number(lost.count) })
)

/** Telemetry for a handler, in a scope that the test closes. */
const make = Effect.fnUntraced(function* (
  handle: (applications: ReadonlyArray<string>) => Effect.Effect<void, unknown>,
  options?: NetworkTelemetry.Options
) {
  const scope = yield* Scope.make()
  const telemetry = yield* NetworkTelemetry.make(options).pipe(
    Effect.provideService(NetworkTelemetry.TelemetryHandler, {
      handle: (batch) => handle(batch.map(({ application }) => application))
    }),
    Scope.provide(scope)
  )
  return { ...telemetry, close: Scope.close(scope, Exit.void) }
})

describe("network telemetry", () => {
  it.effect("counts events that nobody wants, none of which is lost [TN-03]", () =>
    Effect.gen(function* () {
      const { post } = yield* NetworkTelemetry.make()

      yield* post(events(3))
      yield* post(events(2))

      assert.deepStrictEqual(yield* counts, { received: 5, lost: 0 })
    }).pipe(isolated)
  )

  it.effect("hands events on in their order, equal ones too, as its options say", () =>
    Effect.gen(function* () {
      const batches: Array<ReadonlyArray<string>> = []
      const { post } = yield* make((batch) => Effect.sync(() => void batches.push(batch)), {
        interval: "10 seconds",
        maxBatchSize: 4
      })

      yield* post([...events(2), ...events(1)])
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(batches, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(batches, [["app 0", "app 1", "app 0"]])
      yield* post(events(4))
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(batches, 2)
      assert.deepStrictEqual(yield* counts, { received: 7, lost: 0 })
    }).pipe(isolated)
  )

  it.effect("loses a batch that the handler does not take, with a warning that has the cause", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      const { post } = yield* make(() => Effect.fail("no disk"))

      yield* post(events(3))
      yield* TestClock.adjust("1 minute")

      assert.deepStrictEqual(levelsOf(records), ["Warn: network telemetry was not taken"])
      assert.include(records[0]!.cause, "no disk")
      assert.deepStrictEqual(yield* counts, { received: 3, lost: 3 })
    }).pipe(collectLogs(records), isolated)
  })

  it.effect("loses events that find no room, and at its end those that a handler does not take in time", () =>
    Effect.gen(function* () {
      const { close, post } = yield* make(() => Effect.never, { maxBatchSize: 10 })

      yield* post(events(10))
      yield* TestClock.adjust("1 millis")
      yield* post(events(1_000))
      const { lost } = yield* counts
      assert.isAbove(lost, 0)
      assert.isBelow(lost, 1_000)

      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* counts, { received: 1_010, lost: 1_010 })
    }).pipe(isolated)
  )
})
