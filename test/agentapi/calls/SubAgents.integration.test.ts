/** Sub-agents and resource monitors of a running service, over real WebSockets and a real Postgres. */
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as Token from "../../../src/access/Token.ts"
import type { CreateSubAgentRequest } from "../../../src/agentapi/calls/SubAgents.ts"
import { Directory } from "../../../src/admin/Directory.ts"
import * as Agent from "../../support/agent.ts"
import * as People from "../../support/directory.ts"
import * as Service from "../../support/service.ts"

const showing = (token: string) => People.showing(Redacted.make(token))

const request = (given: Partial<CreateSubAgentRequest>): CreateSubAgentRequest => ({
  name: "",
  directory: "",
  architecture: "amd64",
  operating_system: "linux",
  apps: [],
  display_apps: [],
  ...given
})

/** An agent that has connected. */
const connected = Effect.gen(function* () {
  const { url } = yield* Service.TestService
  const agent = yield* People.agent()
  return { ...agent, url, calls: yield* Agent.client(url, People.showing(agent.token)) }
})

layer(Service.layer, { excludeTestServices: true })("a sub-agent", (it) => {
  it.effect("connects with its token until it is deleted [SA-05, SA-12, CN-07]", () =>
    Effect.gen(function* () {
      const { calls, url } = yield* connected
      const { agent } = yield* calls.CreateSubAgent(request({ name: "dev" }))

      const child = yield* Agent.client(url, showing(agent.auth_token))
      assert.deepStrictEqual(yield* child.ListSubAgents({}), { agents: [] })
      assert.deepStrictEqual(yield* calls.ListSubAgents({}), { agents: [agent] })

      assert.deepStrictEqual(yield* calls.DeleteSubAgent({ id: agent.id }), {})
      const refused = yield* Effect.flip(Agent.connect(url, showing(agent.auth_token)))
      assert.strictEqual(refused.status, 401)
      assert.deepStrictEqual(yield* calls.ListSubAgents({}), { agents: [] })
    })
  )

  it.effect("gets another token with that of its parent, and the first lets nobody in any more [SA-13]", () =>
    Effect.gen(function* () {
      const { calls, id, url } = yield* connected
      const { agent } = yield* calls.CreateSubAgent(request({ name: "dev" }))
      const child = yield* Agent.client(url, showing(agent.auth_token))
      const { agent: grandchild } = yield* child.CreateSubAgent(request({ name: "inner" }))
      const next = yield* Token.mint
      yield* (yield* Directory).rotateToken(id, yield* Token.digest(next))

      for (const { auth_token } of [agent, grandchild]) {
        assert.strictEqual((yield* Effect.flip(Agent.connect(url, showing(auth_token)))).status, 401)
      }
      const again = yield* Agent.client(url, People.showing(next))
      const { agents } = yield* again.ListSubAgents({})
      // the connection with the old token is closed, at the latest after the call
      const late = [
        (yield* Effect.flip(calls.ListSubAgents({})))._tag,
        (yield* Effect.flip(calls.CreateSubAgent(request({ name: "late" }))))._tag
      ]
      for (const tag of late) assert.include(["TokenReplaced", "RpcClientError"], tag)

      yield* Agent.connect(url, showing(agents[0]!.auth_token))
      const { agent: shown } = yield* again.CreateSubAgent(request({ id: agent.id }))
      assert.deepStrictEqual([shown], agents)
    })
  )

  it.effect("is rejected with the field that is wrong [SA-01, SA-03, SA-11]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const [{ token }, stranger] = [yield* People.agent(), yield* connected]
      const connection = yield* Agent.connect(url, People.showing(token))
      const { agent } = yield* stranger.calls.CreateSubAgent(request({ name: "theirs" }))
      const wrong = [
        [{}, "name"],
        [{ name: "-" }, "name"],
        [{ name: "dev", display_apps: ["VSCODE", "EMACS"] }, "display_apps[1]"],
        [{ name: "dev", apps: [{ slug: "a" }, { slug: "b", order: 2 ** 31 }] }, "apps[1].order"],
        [{ id: agent.id }, "id"],
        [{ id: "dev" }, "id"]
      ] as const

      for (const [payload, field] of wrong) {
        const answer = yield* Agent.exchange(
          connection,
          JSON.stringify({ _tag: "Request", id: "1", tag: "CreateSubAgent", payload })
        )
        assert.deepInclude(Agent.refusal(answer), { _tag: "InvalidRequest", field })
      }
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("a monitored agent", (it) => {
  it.effect(
    "learns what to watch, and its owner is notified once that its memory and its disks are full [RM-01, RM-12, RM-14]",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { url } = yield* Service.TestService
        const { id, owner, token, workspace } = yield* People.agent()
        yield* sql`
        INSERT INTO workspace_agent_memory_resource_monitors (agent_id, enabled, threshold) VALUES (${id}, true, 90)`
        yield* sql`
        INSERT INTO workspace_agent_volume_resource_monitors (agent_id, path, enabled, threshold)
        VALUES (${id}, '/data', true, 80), (${id}, '/home', true, 80)`
        const calls = yield* Agent.client(url, People.showing(token))
        const full = { used: 9, total: 10 }
        const datapoints = [{ memory: full, volumes: ["/data", "/home"].map((volume) => ({ volume, ...full })) }]

        assert.deepStrictEqual(yield* calls.GetResourcesMonitoringConfiguration({}), {
          config: { num_datapoints: 20, collection_interval_seconds: 10 },
          memory: { enabled: true },
          volumes: [
            { enabled: true, path: "/data" },
            { enabled: true, path: "/home" }
          ]
        })
        for (let report = 0; report < 3; report++) {
          assert.deepStrictEqual(yield* calls.PushResourcesMonitoringUsage({ datapoints }), {})
        }

        assert.deepStrictEqual(
          yield* sql`
          SELECT template, labels, data FROM notification_messages WHERE user_id = ${owner.id} ORDER BY template`,
          [
            {
              template: "workspace_out_of_disk",
              labels: { workspace: workspace.name },
              data: {
                volumes: [
                  { path: "/data", threshold: "80%" },
                  { path: "/home", threshold: "80%" }
                ]
              }
            },
            { template: "workspace_out_of_memory", labels: { workspace: workspace.name, threshold: "90%" }, data: {} }
          ]
        )
      })
  )
})
