/** The spans of writes, and their links to those in which updates were added. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Tracer } from "effect"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"

/** A tracer that keeps its spans, and the names of those that each write links to. */
const recording = () => {
  const writes: Array<Tracer.NativeSpan> = []
  /** Whether a tracer may give each write a parent of its own. */
  const roots: Array<boolean> = []
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      if (span.name === "Audit.write") {
        writes.push(span)
        roots.push(options.root)
      }
      return span
    }
  })
  const links = () => writes.map((write) => write.links.map(({ span }) => (span as Tracer.Span).name))
  return { links, roots, tracer, writes }
}

describe("a batcher with spans", () => {
  it.effect("links each write to the spans of its callers, and a later attempt again [BA-37]", () => {
    const { links, roots, tracer, writes } = recording()
    return Effect.gen(function* () {
      let isAway = true
      const batcher = yield* Batcher.make({
        accumulator: Accumulator.fifo<number>(),
        span: "Audit.write",
        onWriteFailure: "retain",
        write: () => Effect.suspend(() => (isAway ? Effect.fail("away") : Effect.void))
      }).pipe(Effect.withSpan("the program"))

      yield* batcher.add([1]).pipe(Effect.andThen(batcher.add([2])), Effect.withSpan("first"))
      yield* batcher.flush
      isAway = false
      yield* batcher.tryAdd([3]).pipe(Effect.withSpan("second"))
      yield* batcher.add([4])
      yield* batcher.flushNow
      yield* batcher.offer([5]).pipe(Effect.withSpan("third"))
      yield* batcher.flush

      assert.deepStrictEqual(links(), [["first"], ["first", "second"], ["third"]])
      assert.isTrue(writes.every(({ parent }) => parent._tag === "None"))
      assert.deepStrictEqual(roots, [true, true, true])
      assert.deepStrictEqual(
        [...writes[1]!.attributes],
        [
          ["reason", "manual"],
          ["updates", 4]
        ]
      )
    }).pipe(Effect.scoped, Effect.withTracer(tracer))
  })

  it.effect("links at most 128 spans", () => {
    const { links, tracer } = recording()
    return Effect.gen(function* () {
      const batcher = yield* Batcher.make({
        accumulator: Accumulator.fifo<number>(),
        span: "Audit.write",
        write: () => Effect.void
      })
      for (let number = 0; number < 200; number++) {
        yield* batcher.add([number]).pipe(Effect.withSpan("one of many"))
      }
      yield* batcher.flush

      assert.strictEqual(links()[0]?.length, 128)
    }).pipe(Effect.scoped, Effect.withTracer(tracer))
  })
})
