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
    assert.include(problem({ source: "a", instruction_file: { content: "?" } }), "bytes in base64")
    assert.include(problem({ source: "a", skill: { meta: "?" } }), "bytes in base64")
    assert.include(problem({ source: "a", mcp_server: { tools: [{ name: 1 }] } }), "name")
  })

  it("keeps all fields of its body", () => {
    const names = { name: "find", description: "finds" }
    for (const body of [
      { instruction_file: { content: "YQ==" } },
      { skill: { meta: "YQ==", ...names } },
      { mcp_config: {} },
      { mcp_server: { server_name: "s", description: "d", tools: [{ ...names, input_schema: { type: "object" } }] } }
    ]) {
      const resource = {
        source: "a",
        source_path: "/a",
        content_hash: "YWI=",
        size_bytes: 2,
        status: "EXCLUDED",
        error: "e",
        ...body
      }
      assert.deepStrictEqual(Schema.encodeSync(Resource)(Schema.decodeUnknownSync(Resource)(resource)), resource)
    }
  })
})
