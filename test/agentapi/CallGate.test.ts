import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue } from "effect"
import * as CallGate from "../../src/agentapi/internal/callGate.ts"

describe("the gate of calls", () => {
  it.effect("lets calls beyond the maximum start in line, and forgets one that is interrupted [FT-02]", () =>
    Effect.gen(function* () {
      const gate = CallGate.make(2)
      const started = yield* Queue.unbounded<number>()
      const ends = yield* Effect.replicateEffect(Deferred.make<void>(), 5)
      const calls = yield* Effect.forEach(ends, (end, index) =>
        Effect.forkChild(gate.inTurn(Effect.andThen(Queue.offer(started, index), Deferred.await(end))), {
          startImmediately: true
        })
      )

      assert.deepStrictEqual(yield* Queue.takeAll(started), [0, 1])
      assert.isTrue(gate.isFullUnsafe())
      yield* Fiber.interrupt(calls[2]!)
      yield* Deferred.succeed(ends[1]!, undefined)
      assert.strictEqual(yield* Queue.take(started), 3)
      yield* Deferred.succeed(ends[0]!, undefined)
      assert.strictEqual(yield* Queue.take(started), 4)
      for (const end of ends) yield* Deferred.succeed(end, undefined)
      yield* Effect.forEach(calls, Fiber.await)

      assert.isFalse(gate.isFullUnsafe())
      yield* gate.ready
    })
  )
})
