/** A request for each call of the agent API, as it is on the wire. A call without one does not compile. */
import { Effect } from "effect"
import type { RpcGroup } from "effect/rpc"
import { SqlClient } from "effect/sql"
import type { AgentApi } from "../../src/agentapi/AgentApi.ts"
import { zeroCounters } from "../../src/usage/AgentStats.ts"
import { LogSourceId, nil, ScriptId } from "../../src/domain/Ids.ts"
import * as Agent from "./agent.ts"
import * as People from "./directory.ts"
import * as Seed from "./seed.ts"

export type Tag = RpcGroup.Rpcs<typeof AgentApi>["_tag"]

/** The time of everything that has one. */
export const at = "2026-03-01T12:00:00.000Z"

const id = "6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10"

/** Requests of an agent that has these. */
export const requests = ({ app = id, child = id, script = id } = {}): Readonly<Record<Tag, unknown>> => ({
  GetManifest: {},
  GetServiceBanner: {},
  GetAnnouncementBanners: {},
  UpdateStats: {
    stats: { ...zeroCounters, connection_count: 1, metrics: [{ name: "load", type: "GAUGE", value: 1 }] }
  },
  UpdateLifecycle: { lifecycle: { state: "READY", changed_at: at } },
  UpdateStartup: { startup: { version: "v2.31.0", expanded_directory: "/home", subsystems: ["ENVBOX"] } },
  BatchUpdateAppHealths: { updates: [{ id: app, health: "HEALTHY" }] },
  UpdateAppStatus: { slug: "web", state: "WORKING", message: "at work" },
  BatchUpdateMetadata: { metadata: [Agent.sample("cpu", "12 %")] },
  BatchCreateLogs: { log_source_id: nil, logs: [{ output: "hello", level: "INFO" }] },
  ScriptCompleted: { timing: { script_id: script, start: at, end: at } },
  ReportConnection: { connection: { id, action: "CONNECT", type: "SSH", timestamp: at, ip: "localhost" } },
  ReportBoundaryLogs: { logs: [{ allowed: true, http_request: { method: "GET", url: "/" } }] },
  GetResourcesMonitoringConfiguration: {},
  PushResourcesMonitoringUsage: { datapoints: [{ memory: { used: 1, total: 2 } }] },
  PushContextState: {
    version: "7",
    aggregate_hash: "AQI=",
    resources: [{ source: "/AGENTS.md", status: "OK", instruction_file: { content: "aGVsbG8=" } }]
  },
  CreateSubAgent: { name: "another", apps: [{ slug: "web" }] },
  ListSubAgents: {},
  DeleteSubAgent: { id: child }
})

/** An agent of a running service that has an app, a script and a sub-agent, and its requests. */
export const equipped = Effect.fnUntraced(function* (url: string) {
  const sql = yield* SqlClient.SqlClient
  const agent = yield* People.agent("cpu")
  const app = yield* Seed.app(agent.id, "web", { healthcheck_url: "http://localhost" })
  const script = Seed.newId(ScriptId)
  yield* sql`
    INSERT INTO workspace_agent_scripts (id, workspace_agent_id, log_source_id, script)
    VALUES (${script}, ${agent.id}, ${Seed.newId(LogSourceId)}, 'true')`
  const child = yield* Effect.scoped(Effect.flatMap(Agent.client(url, People.showing(agent.token)), Agent.createChild))
  return { ...agent, requests: requests({ app, script, child: child.id }) }
})
