import { assert, it } from "@effect/vitest"
import { closeCodes } from "../../src/platform/CloseCode.ts"
import { closeEventOf, isViolation } from "../../src/wire/SessionEnd.ts"

it("the end of a session says whether its client broke a rule, and whether to come back", () => {
  const ends = [
    ["closed", "done", false],
    ["client gone away", "done", false],
    ["failure of the service", "failure", false],
    ["queue full", "overload", true],
    ["window exceeded", "violation", true]
  ] as const
  for (const [reason, close, isBroken] of ends) {
    assert.strictEqual(closeEventOf(reason).code, closeCodes[close], reason)
    assert.strictEqual(isViolation(reason), isBroken, reason)
  }
})
