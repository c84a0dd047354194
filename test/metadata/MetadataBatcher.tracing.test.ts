/** The spans of a batcher, and their links. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, References, Tracer } from "effect"
import type * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import { agent, entries, entry, failing, inTurn, start, well } from "../support/metadataBatcher.ts"

/** A tracer that keeps its spans. */
const recording = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const flushes = () => spans.filter(({ name }) => name === "MetadataBatcher.flush")
  const links = () => flushes().map((flush) => flush.links.map(({ span }) => (span as Tracer.Span).name))
  return { tracer, spans, flushes, links }
}

const report = (batcher: MetadataBatcher.MetadataBatcher["Service"], number: number, ...keys: ReadonlyArray<string>) =>
  batcher
    .add(
      agent(number),
      keys.map((key) => entry(key, "secret"))
    )
    .pipe(Effect.withSpan(`report of ${number}`))

describe("MetadataBatcher tracing", () => {
  it.effect("links a write to the reports of its rows, each once", () => {
    const { flushes, links, spans, tracer } = recording()
    return Effect.gen(function* () {
      const { batcher } = yield* start({ maxBatchSize: 4 })
      yield* report(batcher, 1, "a", "b")
      yield* report(batcher, 2, "a")
      yield* batcher.flush
      yield* report(batcher, 3, "a")
      yield* batcher.add(agent(4), entries(1))
      yield* batcher.flush

      assert.deepStrictEqual(links(), [["report of 1", "report of 2"], ["report of 3"]])
      assert.deepStrictEqual(
        flushes().map(({ attributes }) => Object.fromEntries(attributes)),
        [
          { reason: "manual", entries: 3, reports: 2 },
          { reason: "manual", entries: 2, reports: 1 }
        ]
      )
      assert.notInclude(JSON.stringify(spans.map(({ attributes }) => [...attributes])), "secret")
    }).pipe(Effect.scoped, Effect.withTracer(tracer))
  })

  it.effect("links no report whose span is not sampled", () => {
    const { links, tracer } = recording()
    return Effect.gen(function* () {
      const { batcher } = yield* start()
      yield* batcher.add(agent(1), [entry("a")]).pipe(Effect.withSpan("report of 1", { sampled: false }))
      yield* report(batcher, 2, "a")
      yield* batcher.flush

      assert.deepStrictEqual(links(), [["report of 2"]])
    }).pipe(Effect.scoped, Effect.withTracer(tracer))
  })

  it.effect("links the reports of rows that are tried again, and not of rows that were replaced meanwhile", () => {
    const { links, tracer } = recording()
    return Effect.gen(function* () {
      const { batcher } = yield* start({ write: inTurn(failing("unavailable"), well), onWriteFailure: "retain" })
      yield* report(batcher, 1, "a")
      yield* report(batcher, 2, "a")
      yield* batcher.flush
      yield* batcher.add(agent(2), [entry("a")]).pipe(Effect.withSpan("newer report of 2"))
      yield* batcher.flushNow

      assert.deepStrictEqual(links(), [
        ["report of 1", "report of 2"],
        ["report of 1", "newer report of 2"]
      ])
    }).pipe(Effect.scoped, Effect.withTracer(tracer))
  })

  it.effect("links at most 128 reports, and says how many there were", () => {
    const { flushes, tracer } = recording()
    return Effect.gen(function* () {
      const { batcher } = yield* start()
      for (let number = 1; number <= 200; number++) yield* report(batcher, number, "a")
      yield* batcher.flush

      const [flush] = flushes()
      assert.strictEqual(flush?.links.length, 128)
      assert.strictEqual(flush?.attributes.get("reports"), 200)
    }).pipe(Effect.scoped, Effect.withTracer(tracer))
  })

  it.effect("announces within the write, whose trace is its own", () => {
    const { flushes, spans, tracer } = recording()
    return Effect.gen(function* () {
      const { batcher } = yield* start().pipe(Effect.withSpan("the start of an application"))
      yield* report(batcher, 1, "a")
      yield* batcher.flush

      const [flush] = flushes()
      assert.strictEqual(flush?.parent._tag, "None")
      const publish = spans.find(({ name }) => name === "MetadataBatcher.publish")
      assert.strictEqual(publish?.parent._tag === "Some" ? publish.parent.value.spanId : "", flush?.spanId)
      assert.strictEqual(publish?.attributes.get("agents"), 1)
    }).pipe(Effect.scoped, Effect.withTracer(tracer))
  })

  it.effect("makes no span where tracing is off", () => {
    const { spans, tracer } = recording()
    return Effect.gen(function* () {
      const { batcher, calls } = yield* start()
      yield* report(batcher, 1, "a")
      yield* batcher.flush

      assert.strictEqual(calls.length, 1)
      assert.deepStrictEqual(spans, [])
    }).pipe(Effect.scoped, Effect.withTracer(tracer), Effect.provideService(References.TracerEnabled, false))
  })
})
