import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Clock, Duration, Effect, Queue } from "effect"
import { TestClock } from "effect/testing"
import * as PgClock from "../../src/storage/PgClock.ts"
import * as Postgres from "../support/Postgres.ts"

const databaseMillis = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{ now: number }>`SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`
  return row!.now
})

/** Further apart than the machine is ever slow, and nearer than anything it could be mistaken for. */
const near = 30_000

layer(Postgres.layer)("PgClock", (it) => {
  it.effect("tells the time of the database where the process has another one", () =>
    Effect.gen(function* () {
      assert.isBelow(yield* Clock.currentTimeMillis, near)

      const clock = yield* PgClock.make()

      const now = yield* databaseMillis
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

  it.effect("stands still rather than going back", () =>
    Effect.gen(function* () {
      const own = yield* Clock.Clock
      const sleeps = yield* Queue.unbounded<void>()
      const observed: Clock.Clock = Object.assign(Object.create(own), {
        sleep: (duration: Duration.Duration) => Effect.andThen(Queue.offer(sleeps, undefined), own.sleep(duration))
      })
      const clock = yield* Effect.provideService(PgClock.make({ interval: "1 hour" }), Clock.Clock, observed)
      // the time for the first comparison, and that until the second
      yield* Queue.takeN(sleeps, 2)

      yield* TestClock.adjust("59 minutes")
      const ahead = clock.currentTimeMillisUnsafe()
      yield* TestClock.adjust("1 minute")
      // the second has been made, which found that no time had passed for the database
      yield* Queue.takeN(sleeps, 2)

      assert.closeTo(ahead, (yield* databaseMillis) + 59 * 60_000, near)
      assert.strictEqual(clock.currentTimeMillisUnsafe(), ahead)
    })
  )
})

describe("what a clock has to be shifted by", () => {
  it("stays as it is while it may be right", () => {
    assert.strictEqual(PgClock.corrected(0, -3, 2), 0)
    assert.strictEqual(PgClock.corrected(5_000, -20_000, 5_001), 5_000)
  })

  it("is what is most likely when it was wrong", () => {
    assert.strictEqual(PgClock.corrected(0, 4_990, 5_010), 5_000)
    assert.strictEqual(PgClock.corrected(5_000, -3, 1), -1)
  })
})
