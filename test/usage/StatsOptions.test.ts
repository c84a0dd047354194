import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { StatsOptions } from "../../src/usage/StatsOptions.ts"

describe("StatsOptions", () => {
  it.effect("has agents report every 30 seconds, and programs of users no sessions, by default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* StatsOptions, { reportInterval: "30 seconds", workspaceUsage: false })
    })
  )
})
