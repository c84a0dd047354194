import { assert, describe, it } from "@effect/vitest"
import { Config, Deferred, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { UsageStore } from "../../src/usage/UsageStore.ts"
import * as UsageTracker from "../../src/usage/UsageTracker.ts"
import * as Sleeps from "../support/sleeps.ts"
import { hanging, inTurn, minute, start, well, workspace } from "../support/usageTracker.ts"

/** Closes while a write waits at a gate, and opens the gate once closing waits for that write. */
const closeThrough = Effect.fnUntraced(function* (gate: Deferred.Deferred<void>, close: Effect.Effect<void>) {
  const closing = yield* Effect.forkChild(close, { startImmediately: true })
  yield* TestClock.adjust(0)
  assert.isUndefined(closing.pollUnsafe())
  yield* Deferred.succeed(gate, undefined)
  yield* Fiber.join(closing)
})

describe("UsageTracker", () => {
  it.effect("writes whenever 60 s have passed by default, not sooner [UT-01]", () =>
    Effect.gen(function* () {
      const { ids, tracker } = yield* start()

      for (let tick = 1; tick <= 3; tick++) {
        yield* tracker.add(workspace(tick))
        yield* TestClock.adjust("59999 millis")
        assert.strictEqual(ids().length, tick - 1)
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(ids().slice(tick - 1), [[workspace(tick)]])
      }
    })
  )

  it.effect("writes a workspace once that was used a hundred times [UT-02]", () =>
    Effect.gen(function* () {
      const { ids, tracker } = yield* start()
      for (let use = 0; use < 100; use++) yield* tracker.add(workspace(1))
      yield* minute

      assert.deepStrictEqual(ids(), [[workspace(1)]])
    })
  )

  it.effect("writes nothing when nothing was used [UT-03]", () =>
    Effect.gen(function* () {
      const { ids } = yield* start()
      yield* TestClock.adjust("1 hours")

      assert.deepStrictEqual(ids(), [])
    })
  )

  it.effect("takes a million workspaces in an interval, and drops the use of others", () =>
    Effect.gen(function* () {
      const { ids, tracker } = yield* start()
      let used = 0
      const useMany = Effect.whileLoop({
        while: () => used < UsageTracker.maxWorkspaces,
        body: () => tracker.add(workspace(used)),
        step: () => void used++
      })
      yield* useMany
      yield* tracker.add(workspace(used))
      yield* tracker.add(workspace(0))
      yield* minute
      yield* tracker.add(workspace(used))
      yield* minute

      assert.deepStrictEqual(
        ids().map((workspaces) => workspaces.length),
        [1_000_000, 1]
      )
    })
  )

  it.effect("gives all workspaces of a write its time [UT-04]", () =>
    Effect.gen(function* () {
      const { calls, tracker } = yield* start()
      yield* TestClock.adjust("10 seconds")
      yield* tracker.add(workspace(1))
      yield* TestClock.adjust("20 seconds")
      yield* tracker.add(workspace(2))
      yield* TestClock.adjust("30 seconds")

      assert.deepStrictEqual(
        calls.map(({ at }) => at.epochMilliseconds),
        [60_000]
      )
    })
  )

  it.effect("writes at a fixed rate, however long writes take [UT-22]", () =>
    Effect.gen(function* () {
      const { calls, tracker } = yield* start(() => Effect.delay(Effect.void, "8 seconds"))
      for (let second = 0; second < 200; second++) {
        yield* tracker.add(workspace(second))
        yield* TestClock.adjust("1 second")
      }

      assert.deepStrictEqual(
        calls.map(({ at }) => at.epochMilliseconds),
        [60_000, 120_000, 180_000]
      )
    })
  )

  it.effect("makes up for one tick at most after a long write, and gives it the time of the tick [UT-22, UT-23]", () =>
    Effect.gen(function* () {
      const { calls, tracker } = yield* start(
        inTurn(() => Effect.delay(Effect.void, "17 seconds")),
        { interval: "5 seconds", writeTimeout: "1 minute" }
      )
      const written: Array<number> = []
      for (let second = 0; second < 40; second++) {
        yield* tracker.add(workspace(second))
        yield* TestClock.adjust("1 second")
        while (written.length < calls.length) written.push(second + 1)
      }

      assert.deepStrictEqual(written, [5, 22, 25, 30, 35, 40])
      assert.deepStrictEqual(
        calls.map(({ at }) => at.epochMilliseconds / 1_000),
        [5, 20, 25, 30, 35, 40]
      )
    })
  )

  it.effect("writes ids in the order of their bytes [UT-05]", () =>
    Effect.gen(function* () {
      const { ids, tracker } = yield* start()
      for (const number of [255, 3, 16, 1, 160]) yield* tracker.add(workspace(number))
      yield* minute

      assert.deepStrictEqual(ids(), [[1, 3, 16, 160, 255].map(workspace)])
    })
  )

  it.effect("writes one at a time, although a tick and flushes by hand meet [UT-11]", () =>
    Effect.gen(function* () {
      let running = 0
      const together: Array<number> = []
      const { ids, tracker } = yield* start(() =>
        Effect.suspend(() => {
          together.push(++running)
          return Effect.delay(Effect.void, "5 seconds")
        }).pipe(Effect.ensuring(Effect.sync(() => running--)))
      )
      yield* tracker.add(workspace(1))
      yield* minute
      for (const number of [2, 3]) {
        yield* tracker.add(workspace(number))
        yield* Effect.forkChild(tracker.flush, { startImmediately: true })
      }
      yield* TestClock.adjust("20 seconds")

      assert.deepStrictEqual(ids(), [[workspace(1)], [workspace(2), workspace(3)]])
      assert.deepStrictEqual(together, [1, 1])
    })
  )

  it.effect("keeps uses during a write for the next one [UT-06]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { ids, tracker } = yield* start(inTurn(() => Deferred.await(gate)))
      yield* tracker.add(workspace(1))
      yield* minute
      yield* tracker.add(workspace(1))
      yield* tracker.add(workspace(2))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(ids().length, 1)

      yield* Deferred.succeed(gate, undefined)
      yield* minute
      assert.deepStrictEqual(ids(), [[workspace(1)], [workspace(1), workspace(2)]])
    })
  )

  it.effect("remembers thousands of workspaces that are used during a write [UT-06]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { ids, tracker } = yield* start(inTurn(() => Deferred.await(gate)))
      yield* tracker.add(workspace(0))
      yield* minute
      for (let number = 1; number <= 5_000; number++) yield* tracker.add(workspace(number))

      yield* Deferred.succeed(gate, undefined)
      yield* minute
      assert.strictEqual(ids()[1]?.length, 5_000)
    })
  )

  it.effect("closes within 10 s, although a write is in flight and another one is due [UT-07, UT-13, UT-14]", () =>
    Effect.gen(function* () {
      const { close, ids, tracker } = yield* start(hanging)
      yield* tracker.add(workspace(1))
      yield* minute
      yield* tracker.add(workspace(2))
      yield* TestClock.adjust("5 seconds")

      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      assert.isDefined(closing.pollUnsafe())
      assert.deepStrictEqual(ids(), [[workspace(1)], [workspace(2)]])
    })
  )

  it.effect("goes on after a bug of the store, which is logged as any failure [UT-25]", () =>
    Effect.gen(function* () {
      const throwing = () => {
        throw new Error("a bug")
      }
      const { ids, logs, tracker } = yield* start(inTurn(() => Effect.die("a bug"), throwing))
      for (const number of [1, 2, 3]) {
        yield* tracker.add(workspace(number))
        yield* minute
      }

      assert.deepStrictEqual(ids(), [[workspace(1)], [workspace(2)], [workspace(3)]])
      assert.deepStrictEqual(
        logs().map(({ level }) => level),
        ["Warn", "Error", "Info"]
      )
    })
  )

  it.effect("gives a write up after 10 s, and its workspaces [UT-07, UT-08]", () =>
    Effect.gen(function* () {
      const { ids, logs, tracker } = yield* start(inTurn(hanging))
      yield* tracker.add(workspace(1))
      yield* minute
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(logs(), [])

      yield* TestClock.adjust("1 millis")
      assert.strictEqual(logs().length, 1)
      yield* tracker.add(workspace(2))
      yield* minute
      assert.deepStrictEqual(ids(), [[workspace(1)], [workspace(2)]])
    })
  )

  it.effect("returns from a second closing at once, although the first one still writes [UT-12]", () =>
    Effect.gen(function* () {
      const { close, ids, logs, tracker } = yield* start(hanging)
      yield* tracker.add(workspace(1))

      const first = yield* Effect.forkChild(close, { startImmediately: true })
      yield* close
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      assert.isDefined(first.pollUnsafe())
      yield* close
      // nothing of the lost write is pending, and nothing is left to write
      yield* tracker.flush

      assert.deepStrictEqual(ids(), [[workspace(1)]])
      assert.strictEqual(logs().length, 1)
    })
  )

  it.effect("waits for a running write when it closes, and then writes what is pending [UT-13, UT-14]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { close, ids, tracker } = yield* start(inTurn(() => Deferred.await(gate)))
      yield* tracker.add(workspace(1))
      yield* minute
      yield* tracker.add(workspace(2))

      yield* closeThrough(gate, close)

      assert.deepStrictEqual(ids(), [[workspace(1)], [workspace(2)]])
    })
  )

  it.effect("waits for a running write when it closes and nothing is pending [UT-13]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { close, logs, tracker } = yield* start(inTurn(() => Deferred.await(gate)))
      yield* tracker.add(workspace(1))
      yield* minute

      yield* closeThrough(gate, close)

      assert.deepStrictEqual(
        logs().map(({ message }) => message),
        ["last use of workspaces written"]
      )
    })
  )

  it.effect("never hangs when it closes: there is no source of ticks that could end first [UT-15]", () =>
    Effect.gen(function* () {
      const { close, tracker } = yield* start(hanging)
      yield* tracker.add(workspace(1))

      const closing = yield* Effect.forkChild(close, { startImmediately: true })
      yield* TestClock.adjust("9999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(closing.pollUnsafe())
    })
  )

  it.effect("has no option for tests: the clock of the context is enough [UT-16]", () =>
    Effect.gen(function* () {
      // @ts-expect-error there is no such option
      const { ids, tracker } = yield* start(well, { tick: "by hand" })
      yield* tracker.add(workspace(1))
      yield* minute

      assert.strictEqual(ids().length, 1)
    })
  )

  it.effect("writes every use, however uses and writes interleave [UT-17]", () =>
    Effect.gen(function* () {
      const { ids, tracker } = yield* start(() => Effect.delay(Effect.void, "3 seconds"))
      yield* Effect.forEach(
        Array.from({ length: 5_000 }, (_, number) => number),
        (number) => Effect.delay(tracker.add(workspace(number)), number * 97),
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.forkChild)
      yield* TestClock.adjust("20 minutes")

      assert.strictEqual(ids().flat().length, 5_000)
      assert.strictEqual(new Set(ids().flat()).size, 5_000)
    })
  )

  it.effect("writes nothing more and keeps no timer when it has closed [UT-20]", () =>
    Sleeps.counted((sleeping) =>
      Effect.gen(function* () {
        const { close, ids, tracker } = yield* start()
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(sleeping(), 1)
        yield* close
        assert.strictEqual(sleeping(), 0)
        yield* tracker.add(workspace(1))
        yield* tracker.flush
        yield* TestClock.adjust("1 hours")

        assert.deepStrictEqual([ids(), sleeping()], [[], 0])
      })
    )
  )

  it.effect("takes its times from a Config, and fails typed with the name of one that makes no sense [BA-29]", () =>
    Effect.gen(function* () {
      const layer = UsageTracker.layerConfig({ writeTimeout: Config.succeed(-1) })
      const store = Layer.succeed(UsageStore, { updateLastUsedAt: well })
      const error = yield* Effect.flip(Effect.provide(UsageTracker.UsageTracker, Layer.provide(layer, store)))

      assert.include(error.message, "writeTimeout must be")
    })
  )
})
