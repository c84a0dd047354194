import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Rounds from "./Rounds.ts"
import * as Table from "./Table.ts"

/** Returns the figures given, round by round, and keeps a record of its turns. */
const scripted = (name: string, figures: ReadonlyArray<number>, turns: Array<string> = []) => {
  const rest = [...figures]
  return {
    name,
    round: Effect.sync(() => {
      turns.push(name)
      return { ms: rest.shift()! }
    })
  }
}

const table = (contestants: ReadonlyArray<Table.Contestant<"ms">>) =>
  Table.make({ name: "table", title: "a table", notes: [], columns: { ms: 1 }, reference: "a", contestants })

describe("Rounds", () => {
  it.effect("gives every contestant a turn in each round, and lets another one begin each round", () =>
    Effect.gen(function* () {
      const turns: Array<string> = []
      const contestants = ["a", "b", "c"].map((name) => scripted(name, [1, 1, 1], turns))

      yield* Rounds.run(table(contestants), { rounds: 3, warmUps: 0 })

      const rounds = [turns.slice(0, 3), turns.slice(3, 6), turns.slice(6)]
      for (const round of rounds) assert.sameMembers(round, ["a", "b", "c"])
      assert.sameMembers(
        rounds.map(([first]) => first),
        ["a", "b", "c"]
      )
    })
  )

  it.effect("returns the median and the range of the rounds that count", () =>
    Effect.gen(function* () {
      const { rows } = yield* Rounds.run(table([scripted("a", [900, 5, 1, 3])]), { rounds: 3, warmUps: 1 })

      assert.deepStrictEqual(rows[0]?.figures, { ms: { median: 3, min: 1, max: 5, ratio: 1 } })
    })
  )

  it.effect("takes the ratio within a round, so that a slow round of both changes nothing", () =>
    Effect.gen(function* () {
      const { rows } = yield* Rounds.run(table([scripted("a", [10, 80, 10, 10]), scripted("b", [20, 160, 30, 10])]), {
        rounds: 4,
        warmUps: 0
      })

      assert.strictEqual(rows[1]?.figures["ms"]?.ratio, 2)
    })
  )

  it.effect("lists contestants that cannot run with the reason, and compares no other to them", () =>
    Effect.gen(function* () {
      const { rows } = yield* Rounds.run(table([{ name: "a", skipped: "not here" }, scripted("b", [1])]), {
        rounds: 1,
        warmUps: 0
      })

      assert.deepStrictEqual(rows, [
        { name: "a", skipped: "not here", figures: {} },
        { name: "b", figures: { ms: { median: 1, min: 1, max: 1 } } }
      ])
    })
  )
})
