/** The manifest of an agent in the original's protocol, over real WebSockets and a real Postgres. */
import { assert, layer } from "@effect/vitest"
import { toBinary } from "@bufbuild/protobuf"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { AgentId } from "../../src/domain/Ids.ts"
import { Agent as Api, ManifestSchema } from "../../src/wire/generated/agent_pb.ts"
import { uuidOfBytes } from "../../src/agentapi/wire/Conversion.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as WireAgent from "../support/wireAgent.ts"

/** An agent connected in the original's protocol. */
const connected = Effect.fnUntraced(function* () {
  const { url } = yield* Service.TestService
  const agent = yield* People.agent()
  return { ...agent, url, ...(yield* WireAgent.connect(url, People.showing(agent.token))) }
})

layer(Service.layer, { excludeTestServices: true })("the manifest of an agent of the original", (it) => {
  it.effect("learns of the sub-agent of a devcontainer, as over the contract [MF-09]", () =>
    Effect.gen(function* () {
      const { call, id, token, url } = yield* connected()
      const sql = yield* SqlClient.SqlClient
      const { agent } = yield* call(Api.method.createSubAgent, { name: "dev" })
      const child = AgentId.make(uuidOfBytes(agent!.id))
      yield* sql`
        INSERT INTO workspace_agent_devcontainers (id, workspace_agent_id, name, workspace_folder, subagent_id)
        VALUES (gen_random_uuid(), ${id}, 'first', '/first', ${child}), (gen_random_uuid(), ${id}, 'other', '/other', NULL)`

      const { devcontainers } = yield* call(Api.method.getManifest, {})
      const contract = yield* (yield* Agent.client(url, People.showing(token))).GetManifest({})

      const byName = <A extends { readonly name: string }, B>(all: ReadonlyArray<A>, of: (one: A) => B) =>
        Object.fromEntries(all.map((one) => [one.name, of(one)]))
      assert.deepStrictEqual(
        byName(devcontainers, ({ subagentId }) => subagentId),
        { first: agent!.id, other: undefined }
      )
      assert.deepStrictEqual(
        byName(contract.devcontainers, ({ subagent_id }) => subagent_id),
        { first: child, other: undefined }
      )
    })
  )

  it.effect("gets a manifest that fills a message, and an error for one that is a byte larger [MF-13]", () =>
    Effect.gen(function* () {
      const { logged } = yield* Service.TestService
      const { call, id, start } = yield* connected()
      const sql = yield* SqlClient.SqlClient
      const declare = (bytes: number) => sql`
        UPDATE workspace_agents SET directory = repeat('x', ${bytes}::int4) WHERE id = ${id}`
      const getManifest = Effect.flatMap(start(Api.method.getManifest, {}), ({ close, grant, next }) =>
        Effect.ensuring(Effect.andThen(grant(4_194_304), next), close)
      )
      const around = 4_000_000
      yield* declare(around)
      const rest = toBinary(ManifestSchema, yield* getManifest).length - around

      yield* declare(4_194_304 - rest)
      assert.lengthOf(toBinary(ManifestSchema, yield* getManifest), 4_194_304)
      yield* declare(4_194_305 - rest)
      const error = yield* Effect.flip(getManifest)

      const message = "the response has 4194305 bytes: a message of the protocol has at most 4194304"
      assert.deepInclude(error, { code: 0, message })
      yield* logged("response too large for the protocol", "GetManifest", id)
      assert.deepStrictEqual((yield* call(Api.method.getAnnouncementBanners, {})).announcementBanners, [])
    })
  )
})
