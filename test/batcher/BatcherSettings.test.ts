/** The defaults of a batcher, and the values that its settings may have. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { resolve, type Settings } from "../../src/batcher/BatcherSettings.ts"

const all = { partitions: true, sizes: true, bytes: true, sources: true }
const nothing = { partitions: false, sizes: false, bytes: false, sources: false }

/** The resolved settings, or the message of what is wrong. */
const resolved = (settings: Settings, knows = all) =>
  Effect.match(resolve(settings, knows), {
    onSuccess: (resolved): string | object => resolved,
    onFailure: ({ message }) => message
  })

const defaults = {
  maxBatchSize: 500,
  maxBacklogBatchSize: 500,
  maxBatchBytes: Infinity,
  interval: Duration.seconds(5),
  maxAge: Duration.infinity,
  queueCapacity: 2_500,
  maxPending: 500,
  maxPendingBytes: Infinity,
  maxPendingPerSource: Infinity,
  concurrency: 1,
  shutdownTimeout: Duration.seconds(15),
  handoverTimeout: Duration.zero,
  onWriteFailure: "discard",
  maxAttempts: Infinity
}

describe("the settings of a batcher", () => {
  it.effect("have their defaults where they are absent or zero", () =>
    Effect.gen(function* () {
      const zero = Object.fromEntries(
        Object.entries(defaults).map(([name, value]) => [name, typeof value === "string" ? value : 0])
      )

      assert.deepStrictEqual(yield* resolved({}), defaults)
      assert.deepStrictEqual(yield* resolved({}, nothing), defaults)
      assert.deepStrictEqual(yield* resolved(zero), defaults)
    })
  )

  it.effect("have room for the larger of a batch for each write and of a backlog by default", () =>
    Effect.gen(function* () {
      const wide = { maxBatchSize: 10, concurrency: 3 }

      assert.deepInclude(yield* resolved(wide), { maxPending: 30, queueCapacity: 50, maxBacklogBatchSize: 10 })
      assert.deepInclude(yield* resolved({ ...wide, maxBacklogBatchSize: 20 }), { maxPending: 30 })
      assert.deepInclude(yield* resolved({ ...wide, maxBacklogBatchSize: 40 }), { maxPending: 40 })
    })
  )

  it.effect("may be as small as they make sense, and no smaller", () =>
    Effect.gen(function* () {
      for (const name of [
        "maxBatchSize",
        "maxBatchBytes",
        "queueCapacity",
        "maxPendingBytes",
        "maxPendingPerSource",
        "concurrency",
        "maxAttempts"
      ]) {
        assert.deepInclude(yield* resolved({ [name]: 1 }), { [name]: 1 })
        for (const value of [-1, 0.5, Number.NaN, 2 ** 53]) {
          assert.include(
            yield* resolved({ [name]: value }),
            `${name} must be a whole number of at least 1, but is ${value}`
          )
        }
      }
      const sizes = { maxBatchSize: 10, maxBacklogBatchSize: 10 }
      assert.deepInclude(yield* resolved({ ...sizes, maxPending: 10 }), { maxPending: 10 })
      assert.include(yield* resolved({ ...sizes, maxPending: 9 }), "at least maxBatchSize, 10, but is 9")
      assert.include(yield* resolved({ ...sizes, maxBacklogBatchSize: 9 }), "at least maxBatchSize, 10, but is 9")
      assert.include(
        yield* resolved({ ...sizes, maxBacklogBatchSize: 20, maxPending: 19 }),
        "at least maxBacklogBatchSize, 20, but is 19"
      )
    })
  )

  it.effect("are durations that are not negative, of which handing over takes a part of closing", () =>
    Effect.gen(function* () {
      for (const name of ["interval", "maxAge", "shutdownTimeout", "handoverTimeout"]) {
        assert.deepInclude(yield* resolved({ [name]: "7 millis" }), { [name]: Duration.millis(7) })
        for (const value of [-1, Number.NaN]) {
          assert.include(yield* resolved({ [name]: value }), `${name} must be a duration that is not negative`)
        }
      }
      const closing = { shutdownTimeout: "2 seconds" } as const
      assert.deepInclude(yield* resolved({ ...closing, handoverTimeout: 1_999 }), {
        handoverTimeout: Duration.millis(1_999)
      })
      assert.include(
        yield* resolved({ ...closing, handoverTimeout: 2_000 }),
        "handoverTimeout must be shorter than shutdownTimeout, but is 2s"
      )
    })
  )

  it.effect("that need a rule are refused without it, and so is more than one write at a time", () =>
    Effect.gen(function* () {
      for (const [name, rule, of] of [
        ["maxBatchBytes", "sizes", "sizeOf"],
        ["maxPendingBytes", "bytes", "an accumulator with `sized`"],
        ["maxPendingPerSource", "sources", "an accumulator with `sources`"]
      ] as const) {
        const without = { ...all, [rule]: false }
        assert.include(yield* resolved({ [name]: 5 }, without), `${name} must be left out without ${of}, but is 5`)
        assert.deepInclude(yield* resolved({ [name]: 5 }, { ...nothing, [rule]: true }), { [name]: 5 })
        assert.deepStrictEqual(yield* resolved({ [name]: Infinity }, without), defaults)
      }
      const without = { ...all, partitions: false }
      assert.include(yield* resolved({ concurrency: 2 }, without), "concurrency must be 1 without partitionBy")
      assert.deepStrictEqual(yield* resolved({ concurrency: 1 }, without), defaults)
      assert.deepInclude(yield* resolved({ concurrency: 2 }), { concurrency: 2 })
    })
  )

  it.effect("decide by one of two words about a batch that could not be written", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* resolved({ onWriteFailure: "retain" }), { onWriteFailure: "retain" })
      assert.include(
        yield* resolved({ onWriteFailure: "keep" as "retain" }),
        'onWriteFailure must be "discard" or "retain", but is keep'
      )
    })
  )
})
