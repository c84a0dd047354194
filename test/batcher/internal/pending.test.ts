import { assert, describe, it } from "@effect/vitest"
import type { Accumulator } from "../../../src/batcher/Accumulator.ts"
import * as Ledger from "../../../src/batcher/internal/ledger.ts"
import { Pending } from "../../../src/batcher/internal/pending.ts"
import { UpdateDefect } from "../../../src/batcher/internal/updateDefect.ts"

type Numbers = ReadonlyArray<number>

const sum = (numbers: Numbers) => numbers.reduce((total, number) => total + number, 0)

/** Numbers in their order, each as large as it is, of which the even and the odd ones have a source each. */
const numbers: Accumulator<Numbers, number> = {
  empty: () => [],
  size: (state) => state.length,
  keyOf: undefined,
  has: (state, update) => state.includes(update),
  add: (state, updates, from, to) => [...state, ...updates.slice(from, to)],
  restore: (state, updates) => [...updates, ...state],
  take: (state, max) => [state.slice(0, max), state.slice(max)],
  sources: { of: ([first]) => first! % 2, count: (state, source) => state.filter((one) => one % 2 === source).length },
  sized: {
    bytes: sum,
    bytesOf: (updates, from, to) => sum(updates.slice(from, to)),
    evict: (state) => [state.slice(0, 1), state.slice(1)]
  }
}

/** Numbers of which the first ones were set aside by a flush. */
const make = (frozen: Numbers, current: Numbers) => {
  const pending = new Pending<Numbers, number, Numbers>(numbers, new Ledger.Ledger())
  pending.add(frozen, 0, frozen.length, false)
  pending.freeze()
  pending.add(current, 0, current.length, false)
  return pending
}

describe("updates that are pending beside those that a flush has set aside", () => {
  it("are counted with them, as a whole and by their source", () => {
    const pending = make([1, 3, 4], [5, 6, 8])

    assert.deepStrictEqual([pending.size, pending.frozenSize, pending.bytes], [6, 3, 27])
    assert.deepStrictEqual([pending.countOf(0), pending.countOf(1)], [3, 3])
  })

  it("are evicted if they are larger, and the others if those are", () => {
    assert.deepStrictEqual(make([1, 2], [30, 40]).evict(1), [30])
    assert.deepStrictEqual(make([10, 20], [3, 4]).evict(1), [10])
    assert.deepStrictEqual(make([], [3, 4]).evict(1), [3])
  })

  it("wait behind them once they are back", () => {
    const pending = make([1, 2], [3, 4])
    assert.isTrue(pending.isFrozen)
    assert.deepStrictEqual(pending.take(1), [1])
    pending.thaw()

    assert.isFalse(pending.isFrozen)
    assert.deepStrictEqual(pending.take(9), [2, 3, 4])
  })
})

describe("a defect of a rule", () => {
  for (const place of [-1, 0, 3, 99]) {
    it(`of the update at ${place}, which was not to be added, loses all that were`, () => {
      const pending = new Pending<Numbers, number, Numbers>(
        {
          ...numbers,
          add: () => {
            throw new UpdateDefect(place, "a bug")
          }
        },
        new Ledger.Ledger()
      )

      assert.deepStrictEqual(pending.add([1, 2, 3, 4], 1, 3, false)?.places, [1, 2])
    })
  }
})
