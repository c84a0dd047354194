import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { failWith, StoreError } from "../../src/domain/StoreError.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"

describe("an error of a store", () => {
  it("names the operation, or the store", () => {
    const error = { reason: "unavailable", cause: "no connection" } as const

    assert.strictEqual(new StoreError({ ...error, operation: "write metadata" }).message, "cannot write metadata")
    assert.strictEqual(new StoreError(error).message, "cannot use the store")
  })

  it.effect("becomes one for the caller, and a record with the cause, at the level debug if it was cancelled", () =>
    Effect.gen(function* () {
      for (const [reason, level] of [
        ["unavailable", "Error"],
        ["rejected", "Error"],
        ["cancelled", "Debug"]
      ] as const) {
        const records: Array<LogRecord> = []
        const error = new StoreError({ operation: "read an agent", reason, cause: "no connection" })

        const told = yield* Effect.flip(failWith((message) => message)(error)).pipe(collectLogs(records))

        assert.strictEqual(told, "cannot read an agent now")
        assert.deepStrictEqual(records, [{ level, message: "cannot read an agent no connection", annotations: {} }])
      }
    })
  )
})
