import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { limits, Resource, Snapshot } from "../../src/domain/AgentContext.ts"

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

  it("has one of five statuses, in capital letters outside", () => {
    for (const status of ["OK", "OVERSIZE", "UNREADABLE", "INVALID", "EXCLUDED"]) {
      const resource = Schema.decodeUnknownSync(Resource)({ source: "a", status, skill: {} })
      assert.strictEqual(resource.status, status.toLowerCase())
    }
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

describe("a snapshot", () => {
  const problemOf = (snapshot: object) =>
    Result.match(Schema.decodeUnknownResult(Snapshot, { errors: "all" })(snapshot), {
      onSuccess: () => "none",
      onFailure: String
    })
  const resource = { source: "a", status: "OK", mcp_config: {} }
  const problemWith = (fields: object) => problemOf({ resources: [{ ...resource, ...fields }] })
  const hash = (bytes: number) => Buffer.alloc(bytes).toString("base64")

  /** A resource whose body has so many bytes in JSON. */
  const withBody = (bytes: number, source = "a") => {
    const skill = { meta: "", name: "", description: "" }
    return { source, status: "OK", skill: { ...skill, name: "n".repeat(bytes - JSON.stringify(skill).length) } }
  }

  it("may have as many bytes as its limits say, and no more", () => {
    for (const [fields, tooLarge, problem] of [
      [{ source: `${"€".repeat(341)}a` }, { source: `${"€".repeat(341)}aa` }, `at most ${limits.source} bytes`],
      [
        { source_path: "p".repeat(limits.sourcePath) },
        { source_path: "p".repeat(limits.sourcePath + 1) },
        `at most ${limits.sourcePath} bytes`
      ],
      [{ error: "e".repeat(limits.error) }, { error: "e".repeat(limits.error + 1) }, `at most ${limits.error} bytes`],
      [{ content_hash: hash(62) }, { content_hash: hash(65) }, `a hash of at most ${limits.hash} bytes`],
      [{ content_hash: hash(63) }, { content_hash: hash(66) }, `a hash of at most ${limits.hash} bytes`],
      [{ content_hash: hash(64) }, { content_hash: hash(67) }, `a hash of at most ${limits.hash} bytes`]
    ] as const) {
      assert.strictEqual(problemWith(fields), "none")
      assert.include(problemWith(tooLarge), problem)
    }
    assert.strictEqual(problemOf({ resources: [withBody(limits.body)] }), "none")
    const tooLarge = problemOf({ resources: [resource, withBody(limits.body + 1, "b")] })
    assert.include(tooLarge, `a body of at most ${limits.body} bytes`)
    assert.include(tooLarge, `["resources"][1]`)
  })

  it("may have as many resources as its limits say, and no more", () => {
    const many = (count: number, of = (source: string): object => ({ ...resource, source })) => ({
      resources: Array.from({ length: count }, (_, index) => of(String(index)))
    })
    const largest = (source: string) => withBody(limits.body, source)

    assert.strictEqual(problemOf(many(limits.resources)), "none")
    assert.include(problemOf(many(limits.resources + 1)), `at most ${limits.resources} resources`)
    assert.strictEqual(problemOf(many(limits.bodies / limits.body, largest)), "none")
    const { resources } = many(limits.bodies / limits.body, largest)
    assert.include(problemOf({ resources: [...resources, resource] }), `bodies of at most ${limits.bodies} bytes`)
  })

  it("has each source once, and a version of 63 bits", () => {
    assert.include(problemOf({ resources: [resource, resource] }), 'the source "a" once')
    for (const version of ["0", "9223372036854775807"]) assert.strictEqual(problemOf({ version }), "none")
    for (const version of ["-1", "9223372036854775808"]) {
      assert.include(problemOf({ version }), "a version of 0 to 9223372036854775807")
    }
  })

  it("names every problem of a resource without a body", () => {
    assert.include(problemOf({ resources: [{ source: "a", status: "OK" }] }), "Expected one body")
  })
})
