import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Clock, Duration, Effect, Metric, Queue } from "effect"
import { TestClock } from "effect/testing"
import * as PgClock from "../../src/storage/PgClock.ts"
import { isolated } from "../support/isolated.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import * as Postgres from "../support/Postgres.ts"

const databaseMillis = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{ now: number }>`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`
  return row!.now
})

/** Further apart than the machine is ever slow, and nearer than anything it could be mistaken for. */
const near = 30_000

layer(Postgres.layer)("PgClock", (it) => {
  it.effect("returns the time of the database where the process has another one", () =>
    Effect.gen(function* () {
      const clock = yield* PgClock.make()

      const now = yield* databaseMillis
      assert.isAbove(now - (yield* Clock.currentTimeMillis), 365 * 86_400_000)
      assert.closeTo(clock.currentTimeMillisUnsafe(), now, near)
      assert.closeTo(Number(clock.currentTimeNanosUnsafe()) / 1e6, now, near)
    })
  )

  it.effect("sleeps and measures by the clock of the process", () =>
    Effect.gen(function* () {
      const own = yield* Clock.Clock
      const clock = yield* PgClock.make()

      assert.strictEqual(clock.monotonicTimeNanosUnsafe(), own.monotonicTimeNanosUnsafe())
      const asleep = yield* Effect.forkChild(clock.sleep(Duration.millis(10)), { startImmediately: true })
      yield* TestClock.adjust(10)
      assert.isDefined(asleep.pollUnsafe())
    })
  )

  /** A clock, and an effect that lets time pass for the process alone and then compares the clock with the database. */
  const drifting = Effect.fnUntraced(function* (options?: PgClock.Options) {
    const own = yield* Clock.Clock
    const sleeps = yield* Queue.unbounded<void>()
    const observed: Clock.Clock = Object.assign(Object.create(own), {
      sleep: (duration: Duration.Duration) => Effect.andThen(Queue.offer(sleeps, undefined), own.sleep(duration))
    })
    const clock = yield* Effect.provideService(PgClock.make({ interval: "1 hour", ...options }), Clock.Clock, observed)
    // the time for the first comparison, and that until the second
    yield* Queue.takeN(sleeps, 2)
    return {
      clock,
      beforeComparison: TestClock.adjust("59 minutes"),
      // the sleeps of the comparison and until the next one have begun when it has been made
      comparison: Effect.andThen(TestClock.adjust("1 minute"), Queue.takeN(sleeps, 2))
    }
  })

  it.effect("goes back when it is ahead of the database by more than 5 s, and reports that [FT-03]", () => {
    const logs: Array<LogRecord> = []
    return Effect.gen(function* () {
      const { beforeComparison, clock, comparison } = yield* drifting()
      yield* beforeComparison
      assert.closeTo(clock.currentTimeMillisUnsafe(), (yield* databaseMillis) + 59 * 60_000, near)

      yield* comparison

      assert.closeTo(clock.currentTimeMillisUnsafe(), yield* databaseMillis, near)
      assert.strictEqual((yield* Metric.value(PgClock.steps)).count, 1)
      assert.deepStrictEqual(
        logs.map(({ level, message }) => [level, message]),
        [["Warn", "the clock of the database was set"]]
      )
    }).pipe(collectLogs(logs), isolated)
  })

  it.effect("returns the age of a time from before the clock went back [FT-03]", () =>
    Effect.gen(function* () {
      const { beforeComparison, clock, comparison } = yield* drifting()
      yield* beforeComparison
      const before = clock.currentTimeMillisUnsafe()

      yield* comparison

      assert.strictEqual((yield* clock.presentFor(before)) - before, 60_000)
      const now = clock.currentTimeMillisUnsafe()
      assert.strictEqual(yield* clock.presentFor(now), now)
    })
  )

  it.effect("stands still instead of going back by less than the allowed wait", () =>
    Effect.gen(function* () {
      const { beforeComparison, clock, comparison } = yield* drifting({ maxWait: "2 hours" })
      yield* beforeComparison
      const ahead = clock.currentTimeMillisUnsafe()

      yield* comparison

      assert.closeTo(ahead, (yield* databaseMillis) + 59 * 60_000, near)
      assert.strictEqual(clock.currentTimeMillisUnsafe(), ahead)
    })
  )

  it.effect("is not moved by a step of the clock of the machine [FT-03]", () =>
    Effect.gen(function* () {
      const own = yield* Clock.Clock
      let step = 0
      const stepped: Clock.Clock = Object.assign(Object.create(own), {
        currentTimeMillisUnsafe: () => own.currentTimeMillisUnsafe() + step,
        currentTimeNanosUnsafe: () => own.currentTimeNanosUnsafe() + BigInt(step) * 1_000_000n
      })
      const clock = yield* Effect.provideService(PgClock.make(), Clock.Clock, stepped)

      for (step of [30 * 86_400_000, -3_600_000]) {
        const now = yield* databaseMillis
        assert.closeTo(clock.currentTimeMillisUnsafe(), now, near)
        assert.closeTo(Number(clock.currentTimeNanosUnsafe()) / 1e6, now, near)
      }
    })
  )
})

describe("the offset of a clock", () => {
  it("stays as it is while it may be right", () => {
    assert.strictEqual(PgClock.corrected(0, -3, 2), 0)
    assert.strictEqual(PgClock.corrected(5_000, -20_000, 5_001), 5_000)
  })

  it("is what is most likely when it was wrong", () => {
    assert.strictEqual(PgClock.corrected(0, 4_990, 5_010), 5_000)
    assert.strictEqual(PgClock.corrected(5_000, -3, 1), -1)
  })
})
