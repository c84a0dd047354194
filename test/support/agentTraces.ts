/** The rows and the events that the calls of an agent leave behind. */
import { assert } from "@effect/vitest"
import { Effect, Queue, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { AgentApi } from "../../src/agentapi/AgentApi.ts"
import * as AgentLog from "../../src/domain/AgentLog.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import * as WorkspaceEvent from "../../src/domain/WorkspaceEvent.ts"
import { MetadataBatcher } from "../../src/metadata/MetadataBatcher.ts"
import { PubSub } from "../../src/pubsub/PubSub.ts"
import { StatsBatcher } from "../../src/usage/StatsBatcher.ts"
import * as Agent from "./agent.ts"
import { equipped, type Tag } from "./agentCalls.ts"
import * as People from "./directory.ts"
import * as Service from "./service.ts"

// the connection that has made the sub-agent of an agent may end before or after its events are followed
const isOfConnection = (payload: string) => payload.includes("agt_connection_update")

/** The settings of a service that writes reports and times of connections when the test wants it. */
export const settings = { METADATA_FLUSH_INTERVAL: "1 hour", AGENT_PING_INTERVAL: "1 hour" }

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
export const prepare = Effect.fnUntraced(function* () {
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
        Stream.filter((payload) => !isOfConnection(payload)),
        Stream.map((payload) => payload.replaceAll(/[\da-f]{8}-[\da-f-]{27}/g, "id").replaceAll(/\d+/g, "n")),
        Stream.runCollect
      )
    )
  })
  const events = Effect.all([yield* follow(WorkspaceEvent.channel(owner.id)), yield* follow(AgentLog.channel(id))])
  return { token, url, owner, events, requests, rows: rowsOf(id, workspace.id) }
})

/** The names of all calls. */
export const tags = [...AgentApi.requests.keys()] as ReadonlyArray<Tag>

/** Connects an agent over the contract in JSON, and returns how it makes a call, which has to succeed. */
export const connectJson = Effect.fnUntraced(function* ({
  requests,
  token,
  url
}: Effect.Success<ReturnType<typeof prepare>>) {
  const connection = yield* Agent.connect(url, People.showing(token), { search: "?version=2.10&role=agent" })
  return Effect.fnUntraced(function* (tag: Tag) {
    const request = { _tag: "Request", id: tag, tag, payload: requests[tag], headers: [] }
    assert.include(JSON.stringify(yield* Agent.exchange(connection, JSON.stringify(request))), '"Success"', tag)
  })
})

/** Writes the reports that wait in the service. */
export const flush = Effect.all([
  MetadataBatcher.use((batcher) => batcher.flush),
  StatsBatcher.use((batcher) => batcher.flush)
])
