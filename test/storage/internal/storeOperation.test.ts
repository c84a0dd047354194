import { PgTypes } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type SqlClient, SqlError } from "effect/sql"
import { reasonOf, storeOperation } from "../../../src/storage/internal/storeOperation.ts"

const failedWith = (cause: unknown) =>
  new SqlError.SqlError({ reason: new SqlError.UnknownError({ cause, message: "failed", operation: "query" }) })

const failedWithCode = (code: string) => failedWith(Object.assign(new Error("no"), { code }))

describe("reasonOf", () => {
  it.each(["21000", "22001", "22021", "23502", "23503", "23505"])("blames the data for %s", (code) => {
    assert.strictEqual(reasonOf(failedWithCode(code)), "rejected")
  })

  it("blames the data for a parameter that cannot be encoded", () => {
    assert.strictEqual(reasonOf(failedWith(new PgTypes.CodecError({ message: "no UUID" }))), "rejected")
  })

  it("takes 57014 for a cancellation", () => {
    assert.strictEqual(reasonOf(failedWithCode("57014")), "cancelled")
  })

  it.each(["08006", "40001", "40P01", "53300", "57P01", "57P03", "42P01", "ECONNREFUSED"])(
    "blames the store for %s",
    (code) => {
      assert.strictEqual(reasonOf(failedWithCode(code)), "unavailable")
    }
  )

  it("blames the store for a connection that closed", () => {
    assert.strictEqual(reasonOf(failedWith(new Error("Connection closed"))), "unavailable")
  })
})

describe("storeOperation", () => {
  // no statement is made
  const sql = {} as SqlClient.SqlClient

  const props = { cause: new Error("conflict"), message: "failed", operation: "query" }
  const serialization = new SqlError.SqlError({ reason: new SqlError.SerializationError(props) })
  const deadlock = new SqlError.SqlError({ reason: new SqlError.DeadlockError(props) })

  it.live.each([deadlock, serialization])("tries again after $reason._tag [FT-25]", (conflict) =>
    Effect.gen(function* () {
      let attempts = 0
      const statement = Effect.suspend(() => (++attempts < 4 ? Effect.fail(conflict) : Effect.succeed("done")))

      assert.strictEqual(yield* statement.pipe(storeOperation(sql, "calls", "do it")), "done")
      assert.strictEqual(attempts, 4)
    })
  )

  it.live("fails when the conflict does not end", () =>
    Effect.gen(function* () {
      let attempts = 0
      const statement = Effect.suspend(() => {
        attempts++
        return Effect.fail(serialization)
      })

      const error = yield* Effect.flip(statement.pipe(storeOperation(sql, "calls", "do it")))

      assert.strictEqual(error.reason, "unavailable")
      assert.strictEqual(attempts, 6)
    })
  )

  it.effect("passes errors unchanged that are not about the database", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* Effect.flip(Effect.fail("mine" as const).pipe(storeOperation(sql, "calls", "do it"))),
        "mine"
      )
    })
  )
})
