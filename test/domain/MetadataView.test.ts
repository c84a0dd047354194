import { assert, describe, it } from "@effect/vitest"
import { DateTime, Result, Schema } from "effect"
import * as MetadataView from "../../src/domain/MetadataView.ts"
import { metadata } from "../support/watch.ts"

describe("MetadataView", () => {
  it("has the age of a value in whole seconds, and none of a value from the future [WA-20]", () => {
    const now = DateTime.makeUnsafe(100_000)
    const ageOf = (millis: number) => {
      const collectedAt = DateTime.makeUnsafe(100_000 - millis)
      return MetadataView.make([metadata("cpu", "1", { collectedAt })], now)[0]!.result.age
    }

    assert.deepStrictEqual([0, 999, 1_000, 1_999, 60_000].map(ageOf), [0, 0, 1, 1, 60])
    assert.deepStrictEqual([-1, -999, -1_000, -3_600_000].map(ageOf), [0, 0, 0, 0])
  })

  it("has these fields, all of them", () => {
    const [view] = MetadataView.make([metadata("cpu", "1")], DateTime.makeUnsafe(0))
    const isView = (input: unknown) => Result.isSuccess(Schema.decodeUnknownResult(MetadataView.MetadataView)(input))
    const { description, result } = view!

    assert.isTrue(isView(view))
    assert.deepStrictEqual(Object.keys(result), ["collected_at", "age", "value", "error"])
    assert.deepStrictEqual(Object.keys(description), ["display_name", "key", "script", "interval", "timeout"])
    for (const name of Object.keys(result)) assert.isFalse(isView({ description, result: { ...result, [name]: null } }))
    for (const name of Object.keys(description)) {
      assert.isFalse(isView({ description: { ...description, [name]: null }, result }))
    }
  })

  it("is sorted by display order, then by key [WA-18]", () => {
    const sorted = MetadataView.make(
      [
        metadata("b", "", { displayOrder: 1 }),
        metadata("c", "", { displayOrder: 0 }),
        metadata("a", "", { displayOrder: 1 })
      ],
      DateTime.makeUnsafe(0)
    )

    assert.deepStrictEqual(
      sorted.map(({ description }) => description.key),
      ["c", "a", "b"]
    )
  })
})
