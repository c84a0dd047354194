import { assert, describe, it } from "@effect/vitest"
import * as NodeVersion from "../../src/platform/NodeVersion.ts"

describe("the version of Node", () => {
  it("is required as `engines` requires it", () => {
    assert.match(NodeVersion.required(), /^>=\d+\.\d+$/)
  })

  it.each(["22.19.0", "22.20.1", "23.0.0", "24.21.0", "100.0.0"])("may be %s", (version) => {
    assert.isUndefined(NodeVersion.refusal(version, ">=22.19"))
  })

  it.each(["22.18.9", "22.9.0", "20.20.2", "9.99.0"])("may not be %s", (version) => {
    assert.strictEqual(
      NodeVersion.refusal(version, ">=22.19"),
      `metadata-batcher needs Node 22.19 or newer, and this is Node ${version}.`
    )
  })
})
