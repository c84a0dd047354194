/** A batcher of numbers that records its batches. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"

type Options<R> = Partial<Batcher.Options<unknown, number, string, R>>

export const settle = TestClock.adjust(0)

/** A batcher of numbers in the order of arrival, and the batches that it has written. */
export const start = Effect.fnUntraced(function* <R = never>(options: Options<R> = {}) {
  const batches: Array<ReadonlyArray<number>> = []
  const { write = () => Effect.void, ...rest } = options
  const batcher = yield* Batcher.make<unknown, number, string, R>({
    accumulator: Accumulator.fifo<number>() as Accumulator.Accumulator<unknown, number>,
    ...rest,
    write: (...call) =>
      Effect.suspend(() => {
        const writing = write(...call)
        return Effect.tap(writing, () => Effect.sync(() => batches.push(call[0])))
      })
  })
  return { batcher, batches }
})

export const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

export const keyedNumbers = Accumulator.keyed<number, number>({
  key: (number) => number,
  merge: (_, newer) => newer
}) as Accumulator.Accumulator<unknown, number>

export const failTimes = (failures: number) => () =>
  Effect.suspend(() => (failures-- > 0 ? Effect.fail("away") : Effect.void))
