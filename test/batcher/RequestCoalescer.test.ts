/** Requests are words, the result of a request is its length; under the test clock. */
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
  const { request } = yield* RequestCoalescer.make({
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
    request,
    /** Sends requests without waiting for their results. */
    fork: (...texts: ReadonlyArray<string>) =>
      Effect.forEach(texts, (text) => Effect.forkScoped(Effect.exit(request({ text })), { startImmediately: true })),
    /** The words of each call since the last look. */
    sent: () => world.calls.splice(0).map((words) => words.map(({ text }) => text))
  }
})

/** A call that runs until it is released. */
const held = Effect.gen(function* () {
  const gate = yield* Deferred.make<void>()
  return {
    calling: Deferred.await(gate),
    release: Effect.andThen(Deferred.succeed(gate, undefined), TestClock.adjust(0))
  }
})

/** The result of each request so far. */
const polled = (fibers: ReadonlyArray<Fiber.Fiber<Exit.Exit<number, string>>>) =>
  fibers.map((fiber) => {
    const exit = fiber.pollUnsafe()
    return exit !== undefined && Exit.isSuccess(exit)
      ? Exit.match(exit.value, { onFailure: Cause.squash, onSuccess: (length) => length })
      : undefined
  })

describe("RequestCoalescer", () => {
  it.effect(
    "sends a request at once when no call started within the window, and otherwise with all that arrive before its end",
    () =>
      Effect.gen(function* () {
        const { sent, fork } = yield* start()

        const fibers = [...(yield* fork("one")), ...(yield* fork("three", "fifteen"))]
        yield* TestClock.adjust("49 millis")
        fibers.push(...(yield* fork("two")))
        assert.deepStrictEqual(sent(), [["one"]])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(sent(), [["three", "fifteen", "two"]])
        yield* TestClock.adjust("50 millis")
        fibers.push(...(yield* fork("four")))

        assert.deepStrictEqual(sent(), [["four"]])
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(polled(fibers), [3, 5, 7, 3, 4])
      })
  )

  it.effect("runs at most `concurrency` calls, and the next one carries every request made meanwhile", () =>
    Effect.gen(function* () {
      const { sent, fork, world } = yield* start()
      const { calling, release } = yield* held
      world.calling = calling

      for (const text of ["a", "b", "c", "d"]) {
        yield* fork(text)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(sent(), [["a"], ["b"]])
      yield* release

      assert.deepStrictEqual(sent(), [["c", "d"]])
    })
  )

  it.effect("sends requests of one key once, with the content of the last one", () =>
    Effect.gen(function* () {
      const { request, sent, fork, world } = yield* start()
      yield* fork("first")
      sent()

      const fibers = yield* Effect.forEach(["old", "new"], (from) =>
        Effect.forkScoped(request({ text: "same", from }), { startImmediately: true })
      )
      yield* TestClock.adjust("50 millis")

      assert.deepStrictEqual(world.calls, [[{ text: "same", from: "new" }]])
      assert.deepStrictEqual(yield* Fiber.joinAll(fibers), [4, 4])
    })
  )

  it.effect("makes several calls of more requests than one may carry", () =>
    Effect.gen(function* () {
      const { sent, fork } = yield* start({ maxSize: 2 })
      yield* fork("first")

      const fibers = yield* fork("a", "bb", "a", "ccc", "dddd", "eeeee")
      yield* TestClock.adjust("50 millis")

      assert.deepStrictEqual(sent(), [["first"], ["a", "bb"], ["ccc", "dddd"], ["eeeee"]])
      assert.deepStrictEqual(polled(fibers), [1, 2, 1, 3, 4, 5])
    })
  )

  it.effect(
    "starts calls for a key in the order of the requests, although the earlier call is the last of several",
    () =>
      Effect.gen(function* () {
        const { request, fork, world } = yield* start({ maxSize: 2, concurrency: 1 })
        const { calling, release } = yield* held
        yield* fork("first")
        const requestFrom = (from: string) =>
          Effect.forkScoped(request({ text: "same", from }), { startImmediately: true })

        yield* fork("a", "b", "c", "d")
        yield* requestFrom("old")
        world.calls.length = 0
        world.calling = calling
        yield* TestClock.adjust("50 millis")
        yield* requestFrom("new")
        yield* TestClock.adjust("1 second")
        yield* release

        assert.deepStrictEqual(world.calls, [
          [{ text: "a" }, { text: "b" }],
          [{ text: "c" }, { text: "d" }],
          [{ text: "same", from: "old" }],
          [{ text: "same", from: "new" }]
        ])
      })
  )

  it.effect("runs the calls of one batch side by side, and the next batch only after all of them have started", () =>
    Effect.gen(function* () {
      const { sent, fork, world } = yield* start({ maxSize: 1, concurrency: 2 })
      yield* fork("first")
      sent()
      const gates = yield* Effect.all([held, held, held, held])
      const waiting = gates.map(({ calling }) => calling)
      world.calling = Effect.suspend(() => waiting.shift()!)

      yield* fork("a", "b", "c")
      yield* TestClock.adjust("50 millis")
      yield* fork("later")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(sent(), [["a"], ["b"]])
      yield* gates[1]!.release
      assert.deepStrictEqual(sent(), [["c"]])
      yield* gates[0]!.release

      assert.deepStrictEqual(sent(), [["later"]])
    })
  )

  it.effect("gives each caller the result of the call that carried its request, and of no other", () =>
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

      // of the first two, one was sent at once and the other alone, at the end of the window
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

  it.effect("sends no request whose caller was interrupted, and finishes a started call for the other callers", () =>
    Effect.gen(function* () {
      const { sent, fork, world } = yield* start()
      const { calling, release } = yield* held
      world.calling = calling

      const [first] = yield* fork("first")
      const [one, other, last] = yield* fork("one", "other", "last")
      yield* Fiber.interrupt(first!)
      yield* Fiber.interrupt(one!)
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(sent(), [["first"], ["other", "last"]])
      yield* Fiber.interrupt(other!)
      yield* release

      assert.deepStrictEqual(polled([last!]), [4])
      const [lone] = yield* fork("lone")
      yield* Fiber.interrupt(lone!)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(sent(), [])
    })
  )

  it.effect(
    "sends no request whose caller was interrupted before its own call, when other calls of the batch have started",
    () =>
      Effect.gen(function* () {
        const { request, fork, world } = yield* start({ maxSize: 2, concurrency: 1 })
        const { calling, release } = yield* held
        yield* fork("first")
        const requestFrom = (from: string) =>
          Effect.forkScoped(Effect.exit(request({ text: "same", from })), { startImmediately: true })

        const [a, , c, d] = yield* fork("a", "b", "c", "d")
        const [stays, leaves] = [yield* requestFrom("stays"), yield* requestFrom("leaves")]
        const [lone] = yield* fork("f", "g")
        const [last] = yield* fork("last")
        world.calls.length = 0
        world.calling = calling
        yield* TestClock.adjust("50 millis")
        yield* Fiber.interruptAll([a!, c!, d!, leaves, lone!, last!])
        yield* release

        assert.deepStrictEqual(world.calls, [
          [{ text: "a" }, { text: "b" }],
          [{ text: "same", from: "stays" }],
          [{ text: "g" }]
        ])
        assert.deepStrictEqual(polled([stays]), [4])
      })
  )

  it.effect("keeps nobody waiting for longer than the window when the clock is set back", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(3_600_000)
      const { sent, fork } = yield* start()
      yield* fork("a")
      yield* TestClock.setTime(0)

      yield* fork("b")
      yield* TestClock.adjust("50 millis")

      assert.deepStrictEqual(sent(), [["a"], ["b"]])
    })
  )

  it.effect("makes each call a root span with links to the spans of its callers", () =>
    Effect.gen(function* () {
      const { request, world } = yield* start()
      yield* request({ text: "first" })
      const spans: Array<unknown> = []
      world.calling = Effect.orDie(Effect.currentSpan).pipe(
        Effect.map(({ links, name, parent }) => spans.push([name, parent._tag, links.map(({ span }) => span.spanId)]))
      )
      const caller = (name: string) =>
        Effect.withSpan(
          Effect.flatMap(Effect.orDie(Effect.currentSpan), ({ spanId }) => Effect.as(request({ text: name }), spanId)),
          name
        )

      const callers = yield* Effect.forkScoped(Effect.all([caller("one"), caller("other")], { concurrency: 2 }), {
        startImmediately: true
      })
      yield* TestClock.adjust("50 millis")

      assert.deepStrictEqual(spans, [["test", "None", yield* Fiber.join(callers)]])
    })
  )
})
