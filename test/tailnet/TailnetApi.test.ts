/** The contract of the tailnet: addresses, parameters and statuses, and the errors of its clients. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { Refused } from "../../src/tailnet/Authority.ts"
import { InvalidResumeToken } from "../../src/tailnet/ResumeTokens.ts"
import { ConnectionInfo, ResumeTokenRefused, TailnetApi, TailnetRefused } from "../../src/tailnet/TailnetApi.ts"

describe("the addresses of the tailnet", () => {
  it("have their parameters and statuses [TU-15]", () => {
    const versions = "query version,query resume_token"

    assert.deepStrictEqual(
      Object.entries(OpenApi.fromApi(TailnetApi as never).paths).map(([path, { get }]) => [
        path,
        (get?.parameters ?? []).map((parameter) => `${parameter.in} ${parameter.name}`).join(),
        Object.keys(get?.responses ?? {}).join()
      ]),
      [
        ["/api/v2/workspaceagents/{agent}/coordinate", `path agent,${versions}`, "204,400,401,404,429,503"],
        ["/api/v2/tailnet", versions, "204,400,401,429,503"],
        ["/api/v2/workspaceagents/{agent}/connection", "path agent", "200,400,401,404,429,503"],
        ["/api/v2/workspaceagents/connection", "", "200,400,401,429,503"],
        ["/api/v2/derp-map", "", "204"]
      ]
    )
  })

  it("say what a connection takes in three fields [TU-17]", () => {
    const info = { derp_map: { Regions: {} }, derp_force_websockets: true, disable_direct_connections: false }

    assert.deepStrictEqual(Schema.encodeSync(ConnectionInfo)(Schema.decodeUnknownSync(ConnectionInfo)(info)), info)
    for (const name of Object.keys(info)) {
      const { [name as "derp_map"]: _, ...rest } = info
      assert.throws(() => Schema.decodeUnknownSync(ConnectionInfo)(rest))
    }
  })

  it("have errors that are told apart by their tags", () => {
    const problem = { message: "a", validations: [{ field: "version", detail: "b" }] }
    assert.deepStrictEqual(
      [
        new TailnetRefused(problem),
        new ResumeTokenRefused(problem),
        new InvalidResumeToken({ reason: "expired" }),
        new Refused({ detail: "agents cannot open tunnels" })
      ].map(({ _tag, message }) => [_tag, message]),
      [
        ["TailnetRefused", "a"],
        ["ResumeTokenRefused", "a"],
        ["InvalidResumeToken", "the resume token is not valid: expired"],
        ["Refused", "agents cannot open tunnels"]
      ]
    )
  })
})
