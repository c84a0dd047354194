/** Callers learn about drops, room and acknowledgements of their updates. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Queue } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"
import { failTimes, keyedNumbers, numbers, settle, start } from "../support/numberBatcher.ts"

describe("callers", () => {
  it.effect("learn which updates were dropped, and why [BA-07]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({
        accumulator: keyedNumbers,
        maxBatchSize: 2,
        maxPending: 4,
        queueCapacity: 1,
        write: () => Effect.never
      })
      yield* batcher.add([1, 2])
      yield* settle
      yield* batcher.add([3, 4, 5])

      const full = yield* batcher.tryAdd([9, 3, 8])
      yield* batcher.closeNow
      const closed = yield* batcher.tryAdd([1])

      assert.deepStrictEqual(full, { accepted: 1, dropped: [9, 8], reason: "full" })
      assert.deepStrictEqual(closed, { accepted: 0, dropped: [1], reason: "closed" })
    })
  )

  it.effect("wait for room with offer, in order, until interrupted or closed [BA-08]", () =>
    Effect.gen(function* () {
      const permits = yield* Queue.unbounded<void>()
      const { batcher, batches } = yield* start({
        maxBatchSize: 2,
        queueCapacity: 2,
        write: () => Queue.take(permits)
      })
      yield* batcher.add([1, 2])
      yield* settle
      yield* batcher.offer([3, 4])
      const [five, six, seven] = yield* Effect.forEach([5, 6, 7], (number) =>
        Effect.forkChild(Effect.exit(batcher.offer([number])), { startImmediately: true })
      )
      yield* settle
      assert.deepStrictEqual([five!.pollUnsafe(), six!.pollUnsafe()], [undefined, undefined])
      yield* Fiber.interrupt(six!)
      yield* Queue.offer(permits, undefined)
      yield* settle
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(five!)))
      yield* Queue.offerAll(
        permits,
        Array.from({ length: 9 }, () => undefined)
      )
      yield* Fiber.join(seven!)
      yield* batcher.flush
      assert.deepStrictEqual(batches.flat(), [1, 2, 3, 4, 5, 7])

      yield* batcher.closeNow
      const refused = yield* Effect.flip(batcher.offer([8]))
      assert.deepStrictEqual([refused._tag, refused.reason, refused.updates], ["Dropped", "closed", [8]])
    })
  )

  it.effect("do not hurry a failing store by waiting for room [BA-08]", () =>
    Effect.gen(function* () {
      let attempts = 0
      const { batcher } = yield* start({
        maxBatchSize: 2,
        queueCapacity: 2,
        onWriteFailure: "retain",
        write: () => Effect.suspend(() => (attempts++, Effect.fail("away")))
      })
      yield* Effect.forEach(numbers(1, 3), () => Effect.forkChild(Effect.forever(batcher.offer([1]))))

      yield* TestClock.adjust("10 seconds")

      assert.isAtMost(attempts, 12)
      yield* batcher.closeNow
    })
  )

  it.effect("wait until their updates, or what they merged into, are written [BA-09]", () =>
    Effect.gen(function* () {
      const merged: Array<string> = []
      const words = yield* Batcher.make<Map<string, string>, string, string, never>({
        accumulator: Accumulator.keyed({ key: (word) => word[0]!, merge: (older, newer) => `${older} ${newer}` }),
        onWriteFailure: "retain",
        isRejection: (error) => error === "bad",
        write: (batch) => {
          if (batch.some((word) => word.startsWith("b"))) return Effect.fail("bad")
          return Effect.sync(() => merged.push(...batch))
        }
      })
      const waiting = yield* Effect.forEach(["a1", "a2", "b1"], (word) =>
        Effect.forkChild(Effect.exit(words.addAndWait([word])), { startImmediately: true })
      )
      yield* settle
      assert.isUndefined(waiting[0]!.pollUnsafe())
      yield* words.flush

      const [one, two, bad] = yield* Fiber.joinAll(waiting)
      assert.isTrue(Exit.isSuccess(one!) && Exit.isSuccess(two!))
      assert.deepStrictEqual(merged, ["a1 a2"])
      const error = Exit.isFailure(bad!) ? Cause.squash(bad!.cause) : undefined
      assert.isTrue(error instanceof Batcher.Rejected && error.error === "bad" && error.updates[0] === "b1")
    })
  )

  it.effect("end by their interruption alone [BA-09]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start()
      yield* batcher.pause
      const waiting = yield* Effect.forkChild(batcher.addAndWait([1]), { startImmediately: true })
      yield* Fiber.interrupt(waiting)

      const exit = yield* Fiber.await(waiting)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    })
  )

  it.effect("learn of losses and drops, each of equal updates for itself [BA-09]", () =>
    Effect.gen(function* () {
      let calls = 0
      const { batcher } = yield* start({
        maxBatchSize: 1,
        queueCapacity: 2,
        maxPending: 1,
        write: () => Effect.suspend(() => (++calls === 2 ? Effect.fail("away") : Effect.void))
      })
      // the first 7 is nobody's: that it is written must not acknowledge the second one
      yield* batcher.add([7])
      const second = yield* Effect.forkChild(Effect.flip(batcher.addAndWait([7])), { startImmediately: true })
      yield* settle

      const lost = yield* Fiber.join(second)
      assert.isTrue(lost._tag === "Lost" && lost.reason === "write_failed" && lost.updates[0] === 7)

      yield* batcher.closeNow
      const dropped = yield* Effect.flip(batcher.addAndWait([1]))
      assert.isTrue(dropped._tag === "Dropped" && dropped.reason === "closed")
    })
  )

  it.effect("are acknowledged after a failure that was tried again [BA-09]", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start({ onWriteFailure: "retain", write: failTimes(2) })
      const waiting = yield* Effect.forkChild(batcher.offerAndWait([1, 2]), { startImmediately: true })

      yield* TestClock.adjust("10 seconds")

      yield* Fiber.join(waiting)
      assert.deepStrictEqual(batches, [[1, 2]])
    })
  )

  it.effect("cannot wait for a batcher within its own write [BA-06]", () =>
    Effect.gen(function* () {
      const errors: Array<string> = []
      const inside: { readonly batcher: Batcher.Batcher<number> } = yield* start({
        write: () =>
          Effect.suspend(() =>
            Effect.map(Effect.flip(inside.batcher.addAndWait([2])), ({ message }) => void errors.push(message))
          ).pipe(Effect.ignore)
      })
      yield* inside.batcher.add([1])
      yield* inside.batcher.flush

      assert.match(errors[0]!, /must not wait for the same batcher/)
    })
  )
})
