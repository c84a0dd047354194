import { PgTypes } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { SqlError } from "effect/sql"
import { reasonOf } from "../../../src/storage/internal/storeOperation.ts"

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
