/** The accumulators of the library against lists, whatever is asked of them. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Accumulator from "../../src/batcher/Accumulator.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Keys = Schema.Array(int(0, 5)).check(Schema.isMaxLength(6))

const Step = Schema.Union([
  Schema.TaggedStruct("Add", { keys: Keys, from: int(0, 2), to: int(0, 6) }),
  Schema.TaggedStruct("Restore", { keys: Keys }),
  Schema.TaggedStruct("Take", { max: int(0, 8) }),
  Schema.TaggedStruct("Select", { max: int(0, 8), skip: int(0, 5), stop: int(0, 5) })
])
const Steps = Schema.Array(Step).check(Schema.isMaxLength(30))

/** Updates of a key become one that lists their numbers. */
interface Update {
  readonly key: number
  readonly numbers: ReadonlyArray<number>
}

const merge = (older: Update, newer: Update): Update => ({
  key: newer.key,
  numbers: [...older.numbers, ...newer.numbers]
})
const sourceOf = ({ key }: Update) => key % 2

/** A list in the order in which the keys first came, where updates merge if they may. */
const combined = (updates: ReadonlyArray<Update>, merges: boolean): ReadonlyArray<Update> => {
  if (!merges) return updates
  const list: Array<Update> = []
  for (const update of updates) {
    const index = list.findIndex(({ key }) => key === update.key)
    if (index === -1) list.push(update)
    else list[index] = merge(list[index]!, update)
  }
  return list
}

const check = <S>(accumulator: Accumulator.Accumulator<S, Update>, merges: boolean, steps: typeof Steps.Type) => {
  let state = accumulator.empty()
  let model: ReadonlyArray<Update> = []
  let next = 0
  const updatesOf = (keys: ReadonlyArray<number>) => keys.map((key): Update => ({ key, numbers: [next++] }))
  for (const step of steps) {
    switch (step._tag) {
      case "Add": {
        const updates = updatesOf(step.keys)
        const to = Math.min(step.to, updates.length)
        const from = Math.min(step.from, to)
        state = accumulator.add(state, updates, from, to)
        model = combined([...model, ...updates.slice(from, to)], merges)
        break
      }
      case "Restore": {
        const updates = updatesOf(step.keys)
        state = accumulator.restore(state, updates)
        model = combined([...updates, ...model], merges)
        break
      }
      case "Take": {
        const [batch, rest] = accumulator.take(state, step.max)
        assert.deepStrictEqual(batch, model.slice(0, step.max))
        state = rest
        model = model.slice(step.max)
        break
      }
      case "Select": {
        const asked: Array<Update> = []
        const select = (update: Update): Accumulator.Selection => {
          asked.push(update)
          return update.key === step.stop ? "stop" : update.key === step.skip ? "skip" : "take"
        }
        const [batch, rest] = accumulator.take(state, step.max, select)
        const end = model.findIndex(({ key }) => key === step.stop)
        const expected = (end === -1 ? model : model.slice(0, end))
          .filter(({ key }) => key !== step.skip)
          .slice(0, step.max)
        assert.deepStrictEqual(batch, expected)
        assert.deepStrictEqual(asked, model.slice(0, asked.length))
        state = rest
        model = model.filter((update) => !expected.includes(update))
        break
      }
    }
    assert.strictEqual(accumulator.size(state), model.length)
    for (let key = 0; key <= 5; key++) {
      const has = merges && model.some((update) => update.key === key)
      assert.strictEqual(accumulator.has(state, { key, numbers: [] }), has)
    }
    for (const source of [0, 1]) {
      const count = model.filter((update) => sourceOf(update) === source).length
      assert.strictEqual(accumulator.sources?.count(state, source) ?? count, count)
    }
  }
  assert.deepStrictEqual(accumulator.take(state, Number.POSITIVE_INFINITY)[0], model)
}

describe("an accumulator", () => {
  const rules = { key: ({ key }: Update) => key, merge }

  it.prop(
    "with keys is a list of one update for each key, of which it counts the sources",
    { steps: Steps },
    ({ steps }) => {
      check(Accumulator.keyed({ ...rules, source: sourceOf }), true, steps)
    }
  )

  it.prop("with keys and without sources is a list of one update for each key", { steps: Steps }, ({ steps }) => {
    const accumulator = Accumulator.keyed(rules)
    assert.isUndefined(accumulator.sources)
    check(accumulator, true, steps)
  })

  it.prop("of every update is a list", { steps: Steps }, ({ steps }) => {
    check(Accumulator.fifo<Update>(), false, steps)
  })

  it("with keys may begin with any map, of which it counts no sources", () => {
    const { add, sources, take } = Accumulator.keyed({ ...rules, source: sourceOf })
    const state = add(new Map(), [{ key: 1, numbers: [1] }], 0, 1)

    assert.strictEqual(sources!.count(state, 1), 0)
    assert.deepStrictEqual(take(state, 5)[0], [{ key: 1, numbers: [1] }])
  })

  it("has the source of the first of updates that come together, and none of no update", () => {
    const { sources } = Accumulator.keyed({ ...rules, source: sourceOf })

    assert.deepStrictEqual([sources!.of([{ key: 3, numbers: [] }]), sources!.of([])], [1, undefined])
  })

  it("of every update keeps its order while thousands come and go, and does not keep what was taken", () => {
    const accumulator = Accumulator.fifo<number>()
    let state = accumulator.empty()
    let taken = 0
    for (let added = 0; added < 20_000; added += 10) {
      state = accumulator.add(
        state,
        Array.from({ length: 10 }, (_, index) => added + index),
        0,
        10
      )
      const [batch, rest] = accumulator.take(state, 7)
      for (const update of batch) assert.strictEqual(update, taken++)
      state = rest
      assert.isAtMost(state.first, state.updates.length / 2)
      assert.isUndefined(state.updates[state.first - 1])
    }
    assert.strictEqual(accumulator.size(state), 20_000 - taken)
  })
})
