import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { Resource } from "../../src/domain/AgentContext.ts"

describe("a resource of an agent", () => {
  it("has a source, and one body", () => {
    const decode = Schema.decodeUnknownResult(Resource)
    const problem = (input: object) => String(Result.getOrUndefined(Result.flip(decode({ status: "OK", ...input }))))

    assert.isTrue(Result.isSuccess(decode({ source: "a", status: "OK", skill: {} })))
    assert.include(problem({ source: "", skill: {} }), "a source")
    assert.include(problem({ source: "a" }), "Expected one body, of instruction_file, skill, mcp_config, mcp_server")
    assert.include(problem({ source: "a", skill: {}, mcp_config: {} }), "Expected one body")
  })
})
