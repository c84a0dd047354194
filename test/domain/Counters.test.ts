import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import * as Counters from "../../src/domain/Counters.ts"

/** The metrics of a name that anything has registered. */
const registered = (name: string) => Effect.map(Metric.snapshot, (metrics) => metrics.filter(({ id }) => id === name))

describe("a counter", () => {
  it.effect("only grows, and has its description", () =>
    Effect.gen(function* () {
      const counter = Counters.counter("test_grows", "Things that happened.")
      for (const change of [2, -1, 3]) yield* Metric.update(counter, change)

      assert.strictEqual((yield* Metric.value(counter)).count, 5)
      assert.deepStrictEqual(
        (yield* registered("test_grows")).map(({ description }) => description),
        ["Things that happened."]
      )
    })
  )

  it.effect("has a series for each value of its label", () =>
    Effect.gen(function* () {
      const counters = Counters.byLabel(Counters.counter("test_labels", "Things."), "kind", ["big", "small"])
      yield* Metric.update(counters.big, 1)

      assert.deepStrictEqual(
        (yield* registered("test_labels")).map(({ attributes }) => attributes),
        [{ kind: "big" }]
      )
    })
  )

  it.effect("is shown from zero on", () =>
    Effect.gen(function* () {
      const counters = Counters.byLabel(Counters.counter("test_zero", "Things."), "kind", ["big", "small"])
      assert.lengthOf(yield* registered("test_zero"), 0)

      yield* Counters.fromZero(Object.values(counters))

      assert.deepStrictEqual(
        (yield* registered("test_zero")).map(({ attributes, state }) => [attributes, state]),
        [
          [{ kind: "big" }, { count: 0, incremental: true }],
          [{ kind: "small" }, { count: 0, incremental: true }]
        ]
      )
    })
  )
})

describe("a metric on demand", () => {
  it.effect("is computed whenever it is read, and not changed by anything else", () =>
    Effect.gen(function* () {
      let held = 1
      const gauge = Metric.gauge("test_demand")
      Counters.onDemand(gauge, yield* Effect.context<never>(), () => ({ value: held }))
      held = 2
      yield* Metric.update(gauge, 7)

      assert.deepStrictEqual((yield* Metric.value(gauge)).value, 2)
    })
  )
})
