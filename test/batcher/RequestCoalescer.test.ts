/** Questions about words, under the test clock; the answer to one is its length. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as RequestCoalescer from "../../src/batcher/RequestCoalescer.ts"

interface Word {
  readonly text: string
  readonly from?: string
}

const start = Effect.fnUntraced(function* (options: { readonly maxSize?: number; readonly concurrency?: number } = {}) {
  const world = {
    calls: [] as Array<ReadonlyArray<Word>>,
    calling: Effect.void as Effect.Effect<void, string>
  }
  const { ask, askNow } = yield* RequestCoalescer.make({
    name: "test",
    window: "50 millis",
    maxSize: options.maxSize ?? 100,
    concurrency: options.concurrency ?? 2,
    keyOf: (word: Word) => word.text,
    call: (words) =>
      Effect.suspend(() => {
        world.calls.push(words)
        return Effect.as(world.calling, (word: Word) => word.text.length)
      })
  })
  return {
    world,
    ask,
    askNow,
    /** Asks without waiting for the answers. */
    fork: (...texts: ReadonlyArray<string>) =>
      Effect.forEach(texts, (text) => Effect.forkScoped(Effect.exit(ask({ text })), { startImmediately: true })),
    /** The words of each call since this was asked. */
    asked: () => world.calls.splice(0).map((words) => words.map(({ text }) => text))
  }
})

/** A call that lasts until it is let go. */
const held = Effect.gen(function* () {
  const gate = yield* Deferred.make<void>()
  return {
    calling: Deferred.await(gate),
    letGo: Effect.andThen(Deferred.succeed(gate, undefined), TestClock.adjust(0))
  }
})

/** What each has got so far: its answer, or why there is none. */
const polled = (fibers: ReadonlyArray<Fiber.Fiber<Exit.Exit<number, string>>>) =>
  fibers.map((fiber) => {
    const exit = fiber.pollUnsafe()
    return exit !== undefined && Exit.isSuccess(exit)
      ? Exit.match(exit.value, { onFailure: Cause.squash, onSuccess: (length) => length })
      : undefined
  })

describe("RequestCoalescer", () => {
  it.effect("asks at once when no call has begun within the window, and else what comes by its end together", () =>
    Effect.gen(function* () {
      const { asked, fork } = yield* start()

      const fibers = [...(yield* fork("one")), ...(yield* fork("three", "fifteen"))]
      yield* TestClock.adjust("49 millis")
      fibers.push(...(yield* fork("two")))
      assert.deepStrictEqual(asked(), [["one"]])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(asked(), [["three", "fifteen", "two"]])
      yield* TestClock.adjust("50 millis")
      fibers.push(...(yield* fork("four")))

      assert.deepStrictEqual(asked(), [["four"]])
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(polled(fibers), [3, 5, 7, 3, 4])
    })
  )

  it.effect("makes so many calls at a time, and the next one with all that was asked meanwhile", () =>
    Effect.gen(function* () {
      const { asked, fork, world } = yield* start()
      const { calling, letGo } = yield* held
      world.calling = calling

      for (const text of ["a", "b", "c", "d"]) {
        yield* fork(text)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(asked(), [["a"], ["b"]])
      yield* letGo

      assert.deepStrictEqual(asked(), [["c", "d"]])
    })
  )

  it.effect("waits for no window with a question that is asked now, nor with those that wait already", () =>
    Effect.gen(function* () {
      const { askNow, asked, fork, world } = yield* start({ concurrency: 1 })
      yield* fork("first", "waits")

      assert.strictEqual(yield* askNow({ text: "urgent" }), 6)
      assert.deepStrictEqual(asked(), [["first"], ["waits", "urgent"]])
      const { calling, letGo } = yield* held
      world.calling = calling
      const urgent = yield* Effect.forEach(["a", "b", "c"], (text) =>
        Effect.forkScoped(askNow({ text }), { startImmediately: true })
      )
      yield* TestClock.adjust(0)
      const later = yield* Effect.forkScoped(askNow({ text: "later" }), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      // those of one turn of the event loop go together
      assert.deepStrictEqual(asked(), [["a", "b", "c"]])
      yield* letGo
      assert.deepStrictEqual(yield* Fiber.joinAll([...urgent, later]), [1, 1, 1, 5])
      assert.deepStrictEqual(asked(), [["later"]])

      yield* fork("d")
      yield* TestClock.adjust("49 millis")
      assert.deepStrictEqual(asked(), [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(asked(), [["d"]])
    })
  )

  it.effect("asks questions of one key once, as the last one has it", () =>
    Effect.gen(function* () {
      const { ask, asked, fork, world } = yield* start()
      yield* fork("first")
      asked()

      const fibers = yield* Effect.forEach(["old", "new"], (from) =>
        Effect.forkScoped(ask({ text: "same", from }), { startImmediately: true })
      )
      yield* TestClock.adjust("50 millis")

      assert.deepStrictEqual(world.calls, [[{ text: "same", from: "new" }]])
      assert.deepStrictEqual(yield* Fiber.joinAll(fibers), [4, 4])
    })
  )

  it.effect("makes several calls of what is more than one may have", () =>
    Effect.gen(function* () {
      const { asked, fork } = yield* start({ maxSize: 2 })
      yield* fork("first")

      const fibers = yield* fork("a", "bb", "a", "ccc", "dddd", "eeeee")
      yield* TestClock.adjust("50 millis")

      assert.deepStrictEqual(asked(), [["first"], ["a", "bb"], ["ccc", "dddd"], ["eeeee"]])
      assert.deepStrictEqual(polled(fibers), [1, 2, 1, 3, 4, 5])
    })
  )

  it.effect("makes calls for a key in the order of asking, although the earlier one is the last of several", () =>
    Effect.gen(function* () {
      const { ask, fork, world } = yield* start({ maxSize: 2, concurrency: 1 })
      const { calling, letGo } = yield* held
      yield* fork("first")
      const askFrom = (from: string) => Effect.forkScoped(ask({ text: "same", from }), { startImmediately: true })

      yield* fork("a", "b", "c", "d")
      yield* askFrom("old")
      world.calls.length = 0
      world.calling = calling
      yield* TestClock.adjust("50 millis")
      yield* askFrom("new")
      yield* TestClock.adjust("1 second")
      yield* letGo

      assert.deepStrictEqual(world.calls, [
        [{ text: "a" }, { text: "b" }],
        [{ text: "c" }, { text: "d" }],
        [{ text: "same", from: "old" }],
        [{ text: "same", from: "new" }]
      ])
    })
  )

  it.effect(
    "makes as many calls of one batch side by side as may be, and the next batch only when all have begun",
    () =>
      Effect.gen(function* () {
        const { asked, fork, world } = yield* start({ maxSize: 1, concurrency: 2 })
        yield* fork("first")
        asked()
        const gates = yield* Effect.all([held, held, held, held])
        const waiting = gates.map(({ calling }) => calling)
        world.calling = Effect.suspend(() => waiting.shift()!)

        yield* fork("a", "b", "c")
        yield* TestClock.adjust("50 millis")
        yield* fork("later")
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(asked(), [["a"], ["b"]])
        yield* gates[1]!.letGo
        assert.deepStrictEqual(asked(), [["c"]])
        yield* gates[0]!.letGo

        assert.deepStrictEqual(asked(), [["later"]])
      })
  )

  it.effect("answers what has become of a call to those who were in it, and to no other", () =>
    Effect.gen(function* () {
      const { fork, world } = yield* start()
      const outcomes: Array<Effect.Effect<void, string>> = [Effect.void, Effect.fail("refused"), Effect.die("broken")]
      const exits: Array<unknown> = []
      for (const outcome of outcomes) {
        world.calling = outcome
        const fibers = yield* fork("a", "b")
        yield* TestClock.adjust("1 second")
        exits.push(polled(fibers))
      }

      // of the first two, one went at once and the other by itself, at the end of the window
      assert.deepStrictEqual(exits, [
        [1, 1],
        ["refused", "refused"],
        ["broken", "broken"]
      ])

      world.calling = Effect.fail("refused")
      const failing = yield* fork("a")
      world.calling = Effect.void
      const healthy = yield* fork("b")
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(polled([...failing, ...healthy]), ["refused", 1])
    })
  )

  it.effect("asks nothing that nobody waits for any more, and goes on with what it has asked for the others", () =>
    Effect.gen(function* () {
      const { asked, fork, world } = yield* start()
      const { calling, letGo } = yield* held
      world.calling = calling

      const [first] = yield* fork("first")
      const [one, other, last] = yield* fork("one", "other", "last")
      yield* Fiber.interrupt(first!)
      yield* Fiber.interrupt(one!)
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(asked(), [["first"], ["other", "last"]])
      yield* Fiber.interrupt(other!)
      yield* letGo

      assert.deepStrictEqual(polled([last!]), [4])
      const [lone] = yield* fork("lone")
      yield* Fiber.interrupt(lone!)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(asked(), [])
    })
  )

  it.effect("asks nothing that nobody waits for before its own call, when others of the batch have begun", () =>
    Effect.gen(function* () {
      const { ask, fork, world } = yield* start({ maxSize: 2, concurrency: 1 })
      const { calling, letGo } = yield* held
      yield* fork("first")
      const askFrom = (from: string) =>
        Effect.forkScoped(Effect.exit(ask({ text: "same", from })), { startImmediately: true })

      const [a, , c, d] = yield* fork("a", "b", "c", "d")
      const [stays, leaves] = [yield* askFrom("stays"), yield* askFrom("leaves")]
      const [lone] = yield* fork("f", "g")
      const [last] = yield* fork("last")
      world.calls.length = 0
      world.calling = calling
      yield* TestClock.adjust("50 millis")
      yield* Fiber.interruptAll([a!, c!, d!, leaves, lone!, last!])
      yield* letGo

      assert.deepStrictEqual(world.calls, [
        [{ text: "a" }, { text: "b" }],
        [{ text: "same", from: "stays" }],
        [{ text: "g" }]
      ])
      assert.deepStrictEqual(polled([stays]), [4])
    })
  )

  it.effect("lets nobody wait for longer than the window when the clock was set back", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(3_600_000)
      const { asked, fork } = yield* start()
      yield* fork("a")
      yield* TestClock.setTime(0)

      yield* fork("b")
      yield* TestClock.adjust("50 millis")

      assert.deepStrictEqual(asked(), [["a"], ["b"]])
    })
  )

  it.effect("makes a call a trace of its own, which links to those who asked", () =>
    Effect.gen(function* () {
      const { ask, world } = yield* start()
      yield* ask({ text: "first" })
      const spans: Array<unknown> = []
      world.calling = Effect.orDie(Effect.currentSpan).pipe(
        Effect.map(({ links, name, parent }) => spans.push([name, parent._tag, links.map(({ span }) => span.spanId)]))
      )
      const asker = (name: string) =>
        Effect.withSpan(
          Effect.flatMap(Effect.orDie(Effect.currentSpan), ({ spanId }) => Effect.as(ask({ text: name }), spanId)),
          name
        )

      const askers = yield* Effect.forkScoped(Effect.all([asker("one"), asker("other")], { concurrency: 2 }), {
        startImmediately: true
      })
      yield* TestClock.adjust("50 millis")

      assert.deepStrictEqual(spans, [["test", "None", yield* Fiber.join(askers)]])
    })
  )
})
