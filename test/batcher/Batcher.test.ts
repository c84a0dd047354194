/** The generic batcher, with updates that are not metadata: page views by address, which add up. */
import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Effect, Exit, Fiber, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"

interface View {
  readonly url: string
  readonly count: number
}

class Unwritable extends Data.TaggedError("Unwritable")<{ readonly bad: boolean }> {}

const views = Accumulator.keyed<View, string>({
  key: (view) => view.url,
  merge: (older, newer) => ({ url: newer.url, count: older.count + newer.count })
})

const view = (url: string, count = 1): View => ({ url, count })

const start = Effect.fnUntraced(function* (
  options: Partial<Batcher.Options<Map<string, View>, View, Unwritable, never>> = {}
): Effect.fn.Return<
  { readonly batcher: Batcher.Batcher<View>; readonly batches: Array<ReadonlyArray<View>> },
  never,
  Scope.Scope
> {
  const batches: Array<ReadonlyArray<View>> = []
  const { write = () => Effect.void, ...rest } = options
  const batcher = yield* Batcher.make({
    accumulator: views,
    ...rest,
    write: (...call) =>
      Effect.suspend(() => {
        batches.push(call[0])
        return write(...call)
      })
  })
  return { batcher, batches }
})

describe("Batcher", () => {
  it.effect("merges updates of one key by the rule of its accumulator", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start()

      yield* batcher.add([view("/a"), view("/b"), view("/a", 4)])
      yield* batcher.flush

      assert.deepStrictEqual(batches, [[view("/a", 5), view("/b")]])
    })
  )

  it.effect("merges updates that a failed write put back with newer ones", () =>
    Effect.gen(function* () {
      let failures = 1
      const { batcher, batches } = yield* start({
        onWriteFailure: "retain",
        write: () => Effect.suspend(() => (failures-- > 0 ? Effect.fail(new Unwritable({ bad: false })) : Effect.void))
      })

      yield* batcher.add([view("/a", 2)])
      yield* batcher.flush
      yield* batcher.add([view("/a", 3), view("/b")])
      yield* batcher.flushNow

      assert.deepStrictEqual(batches.slice(1), [[view("/a", 5), view("/b")]])
    })
  )

  it.effect("tells the writer the trigger of each write", () =>
    Effect.gen(function* () {
      const reasons: Array<Batcher.FlushReason> = []
      const scope = yield* Scope.make()
      const { batcher } = yield* start({
        maxBatchSize: 2,
        write: (_, reason) => Effect.sync(() => reasons.push(reason))
      }).pipe(Scope.provide(scope))

      yield* batcher.add([view("/a"), view("/b")])
      yield* batcher.add([view("/c")])
      yield* TestClock.adjust("5 seconds")
      yield* batcher.add([view("/d")])
      yield* batcher.flush
      yield* batcher.add([view("/e")])
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))

      assert.deepStrictEqual(reasons, ["capacity", "scheduled", "manual", "shutdown"])
    })
  )

  it.effect("drops nothing of a burst in one turn of the event loop when writing takes no time", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start()

      let dropped = 0
      for (let burst = 0; burst < 5_000; burst++) {
        dropped += batcher.addUnsafe(Array.from({ length: 10 }, (_, index) => view(`/${burst}/${index}`)))
      }
      yield* batcher.flush

      assert.strictEqual(dropped, 0)
      assert.strictEqual(batches.flat().length, 50_000)
      assert.isTrue(batches.every((batch) => batch.length === 500))
    })
  )

  it.effect("accepts updates of a writer that adds while it writes", () =>
    Effect.gen(function* () {
      let echoes = 3
      const harness = yield* start({
        maxBatchSize: 2,
        write: () =>
          Effect.sync(() => {
            if (echoes-- > 0) harness.batcher.addUnsafe([view(`/echo/${echoes}`), view(`/other/${echoes}`)])
          })
      })

      yield* harness.batcher.add([view("/a"), view("/b")])
      yield* TestClock.adjust(0)

      assert.strictEqual(harness.batches.flat().length, 8)
    })
  )

  it.effect("writes updates although an observer dies", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start({
        observer: {
          onTake: () => Effect.die("a bug in an observer"),
          onWritten: () => {
            throw new Error("another one")
          }
        }
      })

      yield* batcher.add([view("/a")])
      yield* batcher.flush
      yield* batcher.add([view("/b")])
      yield* TestClock.adjust("5 seconds")

      assert.deepStrictEqual(batches, [[view("/a")], [view("/b")]])
    })
  )

  it.effect("treats a writer that throws like one that fails", () =>
    Effect.gen(function* () {
      let defects = 1
      const { batcher, batches } = yield* start({
        onWriteFailure: "retain",
        write: () => {
          if (defects-- > 0) throw new Error("a bug in the writer")
          return Effect.void
        }
      })

      yield* batcher.add([view("/a")])
      yield* batcher.flush
      yield* TestClock.adjust("1 second")

      assert.deepStrictEqual(batches, [[view("/a")], [view("/a")]])
    })
  )

  it.effect("writes an update whose size cannot be told because the rule throws", () =>
    Effect.gen(function* () {
      let defects = 1
      const { batcher, batches } = yield* start({
        maxBatchBytes: 100,
        sizeOf: () => {
          if (defects-- > 0) throw new Error("a bug in a rule")
          return 1
        }
      })

      yield* batcher.add([view("/a")])
      yield* batcher.flush
      yield* batcher.add([view("/b")])
      yield* TestClock.adjust("5 seconds")

      assert.deepStrictEqual(batches, [[view("/a")], [view("/b")]])
    })
  )

  it.effect("keeps the order of updates that a failed write put back, that wait, and that are added later", () =>
    Effect.gen(function* () {
      let failures = 1
      const gate = yield* Deferred.make<void>()
      const written: Array<string> = []
      const batcher = yield* Batcher.make<Map<string, string>, string, Unwritable, never>({
        accumulator: Accumulator.keyed({ key: (text) => text[0]!, merge: (older, newer) => `${older} ${newer}` }),
        maxBatchSize: 1,
        queueCapacity: 1,
        onWriteFailure: "retain",
        write: (batch) =>
          Effect.andThen(
            Deferred.await(gate),
            failures-- > 0 ? Effect.fail(new Unwritable({ bad: false })) : Effect.sync(() => written.push(...batch))
          )
      })

      assert.strictEqual(yield* batcher.add(["a1"]), 0)
      assert.strictEqual(yield* batcher.add(["a2"]), 0)
      assert.strictEqual(yield* batcher.add(["b1"]), 1)
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* batcher.add(["a3"]), 0)
      yield* batcher.flushNow

      assert.strictEqual(written.join(" "), "a1 a2 a3")
    })
  )

  it.effect("flushes all updates accepted before, although newer ones overtake them in the full mailbox", () =>
    Effect.gen(function* () {
      const permits = yield* Queue.unbounded<void>()
      const { batcher, batches } = yield* start({
        maxBatchSize: 1,
        maxPending: 3,
        queueCapacity: 1,
        write: () => Queue.take(permits)
      })
      yield* batcher.add([view("/a")])
      yield* batcher.add([view("/b"), view("/c"), view("/d")])
      const flush = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      yield* Queue.offer(permits, undefined)
      yield* TestClock.adjust(0)

      assert.strictEqual(yield* batcher.add([view("/c")]), 0)
      yield* Queue.offerAll(
        permits,
        Array.from({ length: 9 }, () => undefined)
      )
      yield* Fiber.join(flush)

      assert.includeDeepMembers(batches.flat(), [view("/d")])
    })
  )

  it.effect("hands over the updates that closing cut off, and counts those that were written", () =>
    Effect.gen(function* () {
      const ends: Array<Batcher.Closed<View>> = []
      const scope = yield* Scope.make()
      const { batcher } = yield* start({
        isRejection: ({ bad }) => bad,
        shutdownTimeout: "1 second",
        observer: { onClosed: (end) => Effect.sync(() => ends.push(end)) },
        write: (batch) =>
          batch.length > 2
            ? Effect.fail(new Unwritable({ bad: true }))
            : batch[0]!.url === "/a"
              ? Effect.void
              : Effect.never
      }).pipe(Scope.provide(scope))
      yield* batcher.add([view("/a"), view("/b"), view("/c"), view("/d")])

      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)

      assert.deepStrictEqual(ends, [{ written: 2, cutOff: 2, updates: [view("/c"), view("/d")] }])
    })
  )

  it.effect("reports how many updates are queued, pending and in flight", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({
        maxBatchSize: 2,
        maxPending: 4,
        write: () => Effect.never,
        shutdownTimeout: 1
      })
      yield* Effect.addFinalizer(() => TestClock.adjust(1).pipe(Effect.forkChild))

      yield* batcher.add([view("/1"), view("/2"), view("/3"), view("/4"), view("/5")])
      yield* TestClock.adjust(0)

      assert.deepStrictEqual(batcher.sizesUnsafe(), { queued: 3, pending: 0, inFlight: 2 })
    })
  )

  it.effect("reports the part of its room that is taken, by what is pending and in flight [SL-07]", () =>
    Effect.gen(function* () {
      const written = yield* Deferred.make<void>()
      const settings = { maxBatchSize: 2, queueCapacity: 2, maxPending: 8 }
      const { batcher } = yield* start({ ...settings, write: () => Deferred.await(written) })
      const saturations = [batcher.saturationUnsafe()]
      for (const paths of [
        ["/1", "/2"],
        ["/3", "/4", "/5", "/6"],
        ["/7", "/8", "/9", "/10", "/11"]
      ]) {
        yield* batcher.add(paths.map((path) => view(path)))
        yield* TestClock.adjust(0)
        saturations.push(batcher.saturationUnsafe())
      }
      yield* Deferred.succeed(written, undefined)
      yield* batcher.flush
      saturations.push(batcher.saturationUnsafe())

      assert.deepStrictEqual(saturations, [0, 2 / 8, 4 / 8, 1, 0])
    })
  )
})

describe("Accumulator.keyed", () => {
  it("takes the oldest keys first and leaves the others", () => {
    const state = views.add(views.empty(), [view("/a"), view("/b"), view("/a"), view("/c")], 0, 4)

    const [batch, rest] = views.take(state, 2)

    assert.deepStrictEqual(batch, [view("/a", 2), view("/b")])
    assert.deepStrictEqual([...rest.values()], [view("/c")])
  })
})
