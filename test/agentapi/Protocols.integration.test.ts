/** Every call of an agent over the contract in JSON, and over the original's protocol: what each of them leaves behind. */
import { assert, layer } from "@effect/vitest"
import type { DescMethodUnary } from "@bufbuild/protobuf"
import { Effect, Queue, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { AgentApi } from "../../src/agentapi/AgentApi.ts"
import { type JsonObject, toMessage } from "../../src/agentapi/wire/Conversion.ts"
import * as AgentLog from "../../src/domain/AgentLog.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import * as WorkspaceEvent from "../../src/domain/WorkspaceEvent.ts"
import { MetadataBatcher } from "../../src/metadata/MetadataBatcher.ts"
import { PubSub } from "../../src/pubsub/PubSub.ts"
import { StatsBatcher } from "../../src/usage/StatsBatcher.ts"
import { Agent as Proto } from "../../src/wire/generated/agent_pb.ts"
import * as Agent from "../support/agent.ts"
import { equipped, type Tag } from "../support/agentCalls.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as WireAgent from "../support/wireAgent.ts"

/** Ids, times and digests differ from agent to agent. */
const varying = /_id$|^id$|_at$|_time$|^time$|hash|^started|^ended|workspace_name|replica|^sub_agent/

/** The rows of an agent in every table that has an agent or a workspace. */
const rowsOf = Effect.fnUntraced(function* (id: AgentId, workspaceId: string) {
  const sql = yield* SqlClient.SqlClient
  const columns = yield* sql<{ table: string; column: string }>`
    SELECT table_name AS table, column_name AS column FROM information_schema.columns
    WHERE table_schema = 'public' AND (column_name IN ('agent_id', 'workspace_agent_id', 'parent_id')
      OR table_name = 'workspace_agents' AND column_name = 'id'
      OR table_name IN ('connection_logs', 'workspace_agent_stats') AND column_name = 'workspace_id')
    ORDER BY 1, 2`
  const found = yield* Effect.forEach(columns, ({ column, table }) =>
    Effect.map(
      sql`SELECT * FROM ${sql(table)} WHERE ${sql(column)} = ${column === "workspace_id" ? workspaceId : id}`,
      (rows) =>
        rows.map((row) =>
          JSON.stringify([
            table,
            column,
            Object.entries(row).flatMap(([name, value]) => [
              [name, varying.test(name) ? value === null : typeof value === "bigint" ? String(value) : value]
            ])
          ])
        )
    )
  )
  return found.flat().sort()
})

const last = "the last event"

/** An agent with an app, a script and a sub-agent, and the events that its calls publish. */
const prepare = Effect.fnUntraced(function* () {
  const { url } = yield* Service.TestService
  const pubsub = yield* PubSub
  const { id, owner, requests, token, workspace } = yield* equipped(url)
  /** The events of a channel, until the last one of the test. */
  const follow = Effect.fnUntraced(function* (channel: string) {
    const queue = yield* Stream.toQueue(pubsub.subscribe(channel), { capacity: "unbounded" })
    // the first event says that the subscription is in place
    yield* Queue.take(queue)
    return Effect.andThen(
      pubsub.publish(channel, last),
      Stream.fromQueue(queue).pipe(
        Stream.map((event) => (event._tag === "Message" ? event.payload : "")),
        Stream.takeUntil((payload) => payload === last),
        Stream.map((payload) => payload.replaceAll(/[\da-f]{8}-[\da-f-]{27}/g, "id").replaceAll(/\d+/g, "n")),
        Stream.runCollect
      )
    )
  })
  const events = Effect.all([yield* follow(WorkspaceEvent.channel(owner.id)), yield* follow(AgentLog.channel(id))])
  return { id, token, url, workspace, events, requests }
})

const tags = [...AgentApi.requests.keys()] as ReadonlyArray<Tag>

layer(Service.layerWith({ METADATA_FLUSH_INTERVAL: "1 hour", AGENT_PING_INTERVAL: "1 hour" }), {
  excludeTestServices: true
})("the two protocols of an agent", (it) => {
  it.effect("leave the same rows and publish the same events, call by call [WI-80]", () =>
    Effect.gen(function* () {
      const [json, wire] = [yield* prepare(), yield* prepare()]
      const connection = yield* Agent.connect(json.url, People.showing(json.token), {
        search: "?version=2.10&role=agent"
      })
      const { call } = yield* WireAgent.connect(wire.url, People.showing(wire.token))
      const flush = Effect.all([
        MetadataBatcher.use((batcher) => batcher.flush),
        StatsBatcher.use((batcher) => batcher.flush)
      ])

      for (const tag of tags) {
        const method = Proto.methods.find(({ name }) => name === tag) as DescMethodUnary
        const payload = json.requests[tag]
        const reply = yield* Agent.exchange(
          connection,
          JSON.stringify({ _tag: "Request", id: tag, tag, payload, headers: [] })
        )
        assert.include(JSON.stringify(reply), '"Success"', tag)
        yield* call(method, toMessage(method.input, wire.requests[tag] as JsonObject))
        yield* flush

        const [ofJson, ofWire] = [yield* rowsOf(json.id, json.workspace.id), yield* rowsOf(wire.id, wire.workspace.id)]
        assert.deepStrictEqual(ofWire, ofJson, tag)
      }
      assert.isAbove((yield* rowsOf(json.id, json.workspace.id)).length, 10)

      const [ofJson, ofWire] = [yield* json.events, yield* wire.events]
      assert.deepStrictEqual(ofWire, ofJson)
      assert.isAbove(ofJson.flat().length, 5)
    })
  )
})
