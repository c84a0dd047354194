import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"
import * as PoolShares from "../../../../src/storage/internal/connection/poolShares.ts"
import * as PoolMetrics from "../../../../src/telemetry/PoolMetrics.ts"
import { isolated } from "../../../support/isolated.ts"

const { shares } = PoolMetrics

const sumOf = (permits: ReturnType<typeof PoolShares.permitsOf>) =>
  Object.values(permits).reduce((sum, count) => sum + count, 0)

describe("permitsOf", () => {
  it.each([7, 8, 9, 10, 11, 20, 50, 500])("divides %i connections, and no more, among all shares [FT-40]", (size) => {
    const permits = PoolShares.permitsOf(size)
    assert.strictEqual(sumOf(permits), size)
    assert.deepStrictEqual(Object.keys(permits).toSorted(), shares.toSorted())
    for (const count of Object.values(permits)) assert.isAtLeast(count, 1)
  })

  it.each([1, 2, 3, 6])("gives each share a turn in a pool of %i connections [FT-40]", (size) => {
    assert.deepStrictEqual(Object.values(PoolShares.permitsOf(size)), [1, 1, 1, 1, 1, 1, 1])
  })
})

describe("make", () => {
  it.effect.each([1, 2, 6, 7, 10])("lets at most %i operations run at once [FT-40]", (size) =>
    Effect.gen(function* () {
      const pool = PoolShares.make(size)
      let running = 0
      let most = 0
      const operation = Effect.acquireUseRelease(
        Effect.sync(() => (most = Math.max(most, ++running))),
        () => Effect.yieldNow,
        () => Effect.sync(() => running--)
      )
      yield* Effect.forEach(
        shares.flatMap((share) => Array.from({ length: 20 }, () => share)),
        (share) => pool[share](operation),
        { concurrency: "unbounded", discard: true }
      )
      assert.strictEqual(most, size)
    }).pipe(isolated)
  )

  it.effect.each(shares)("serves %s at once, however many operations of the other shares hang [FT-40]", (share) =>
    Effect.gen(function* () {
      const pool = PoolShares.make(7)
      for (const other of shares) {
        if (other === share) continue
        for (let count = 0; count < 50; count++) yield* Effect.forkScoped(pool[other](Effect.never))
      }
      yield* Effect.yieldNow

      assert.strictEqual(yield* pool[share](Effect.succeed("served")), "served")
    }).pipe(isolated)
  )

  it.effect("lets a share wait for one operation of each other share in a pool of one connection [FT-40]", () =>
    Effect.gen(function* () {
      const pool = PoolShares.make(1)
      let done = 0
      const operation = Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => ++done)
      )
      for (const share of shares) {
        if (share === "logins") continue
        for (let count = 0; count < 50; count++) yield* Effect.forkScoped(pool[share](operation))
      }
      yield* Effect.yieldNow

      assert.isAtMost(yield* pool.logins(Effect.sync(() => done)), shares.length)
    }).pipe(isolated)
  )

  it.effect("measures the wait of each operation by share, and of one that gives up [FT-40]", () =>
    Effect.gen(function* () {
      const pool = PoolShares.make(7)
      const release = yield* Deferred.make<void>()
      yield* Effect.forkScoped(pool.writes(Deferred.await(release)))
      const patient = yield* Effect.forkScoped(pool.writes(Effect.void))
      const impatient = yield* Effect.forkScoped(Effect.timeoutOption(pool.writes(Effect.void), "2 seconds"))
      yield* pool.calls(Effect.void)
      yield* TestClock.adjust("3 seconds")
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.joinAll([patient, impatient])

      const { count, sum } = yield* Metric.value(PoolMetrics.waitsByShare.writes)
      assert.strictEqual(count, 3)
      assert.strictEqual(sum, 5)
      assert.strictEqual((yield* Metric.value(PoolMetrics.waitsByShare.calls)).sum, 0)
      assert.strictEqual(PoolMetrics.longWaits(yield* Effect.context<never>()), 2)
    }).pipe(isolated)
  )
})
