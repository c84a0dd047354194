import { assert, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { WatchFailure } from "../../src/watch/WatchFailure.ts"

it("a failure of a watch has a message and its detail", () => {
  const isFailure = (input: object) => Result.isSuccess(Schema.decodeUnknownResult(WatchFailure)(input))

  assert.isTrue(isFailure({ message: "a", detail: "b" }))
  assert.isFalse(isFailure({ message: "a" }))
  assert.isFalse(isFailure({ detail: "b" }))
})
