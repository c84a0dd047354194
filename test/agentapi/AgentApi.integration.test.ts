/** Everything that an agent may call, over one connection to a running service on a real Postgres, and what it costs. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { AgentApi } from "../../src/agentapi/AgentApi.ts"
import { StatsBatcher } from "../../src/usage/StatsBatcher.ts"
import { MetadataBatcher } from "../../src/metadata/MetadataBatcher.ts"
import { UsageTracker } from "../../src/usage/UsageTracker.ts"
import * as Agent from "../support/agent.ts"
import { at, equipped, type Tag } from "../support/agentCalls.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as Statements from "../support/statements.ts"

/** An agent that has an app, a script and a sub-agent, whose workspace has a deadline and starts by itself. */
const connected = Effect.gen(function* () {
  const { url } = yield* Service.TestService
  const sql = yield* SqlClient.SqlClient
  const { id, requests, token, workspace } = yield* equipped(url)
  yield* sql`UPDATE workspaces SET autostart_schedule = '30 9 * * 1-5' WHERE id = ${workspace.id}`
  yield* sql`UPDATE workspace_builds SET deadline = now() WHERE workspace_id = ${workspace.id}`
  const connection = yield* Agent.connect(url, People.showing(token))
  const call = (tag: Tag, payload: unknown) =>
    Agent.exchange(connection, JSON.stringify({ _tag: "Request", id: tag, tag, payload, headers: [] }))
  return { id, call, requests, workspace }
})

const decodeAnswer = Schema.decodeUnknownEffect(
  Schema.TaggedStruct("Exit", {
    requestId: Schema.String,
    exit: Schema.TaggedStruct("Success", { value: Schema.Record(Schema.String, Schema.Unknown) })
  })
)

/** Parts of the responses that are not empty. */
const answers: Readonly<Partial<Record<Tag, object>>> = {
  GetManifest: { agent_name: "main" },
  GetServiceBanner: { enabled: false, message: "", background_color: "" },
  GetAnnouncementBanners: { announcement_banners: [] },
  UpdateStats: { report_interval: 30 },
  UpdateLifecycle: { state: "READY", changed_at: at },
  UpdateStartup: { version: "v2.31.0", expanded_directory: "/home", subsystems: ["ENVBOX"] },
  BatchCreateLogs: { log_limit_exceeded: false },
  GetResourcesMonitoringConfiguration: { config: { num_datapoints: 20, collection_interval_seconds: 10 } },
  CreateSubAgent: { app_creation_errors: [] }
}

/** Whether it is not one that the service makes on its own, whoever calls. */
const isOfCalls = ({ text }: Statements.Made) => !/^WITH deleted |\b(site_configs|replica_points)\b/.test(text)

const environment = { METADATA_FLUSH_INTERVAL: "1 hour", AGENT_PING_INTERVAL: "1 hour" }

layer(Service.layerWith(environment).pipe(Layer.provideMerge(Statements.layer)), { excludeTestServices: true })(
  "the agent API",
  (it) => {
    it.effect("serves every call over one connection [AP-02]", () =>
      Effect.gen(function* () {
        const { call, requests } = yield* connected

        for (const tag of AgentApi.requests.keys() as Iterable<Tag>) {
          const { exit, ...envelope } = yield* decodeAnswer(yield* call(tag, requests[tag]))
          assert.deepStrictEqual(envelope, { _tag: "Exit", requestId: tag })
          assert.deepInclude(exit.value, answers[tag] ?? {})
        }
      })
    )

    it.effect("reads rows by an index alone, however many agents there are", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const statements = yield* Statements.Statements
        statements.length = 0
        const { call, requests } = yield* connected
        for (const tag of AgentApi.requests.keys() as Iterable<Tag>) yield* call(tag, requests[tag])
        const asked = new Map(
          statements.flatMap(({ parameters, text }) =>
            // but not what the service deletes on its own
            /^(?!WITH deleted )(WITH|SELECT|INSERT|UPDATE|DELETE) /.test(text) ? [[text, parameters]] : []
          )
        )

        const plans = yield* Effect.forEach(asked, ([text, parameters]) =>
          Effect.map(sql.unsafe(`EXPLAIN ${text}`, parameters), (rows) => ({ text, plan: JSON.stringify(rows) }))
        ).pipe(
          // where there is no index there is no other way, and it is taken all the same
          (explained) => Effect.andThen(sql`SET LOCAL enable_seqscan = off`, explained),
          sql.withTransaction
        )

        assert.isAbove(plans.length, 25)
        assert.deepStrictEqual(
          plans.filter(({ plan }) => plan.includes("Seq Scan")),
          []
        )
      })
    )

    it.effect("costs no read to report metadata, statistics and connections, and nothing of the agent [AP-06]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const statements = yield* Statements.Statements
        const { call, id, requests, workspace } = yield* connected
        const flush = Effect.all([
          Effect.flatMap(MetadataBatcher, (batcher) => batcher.flush),
          Effect.flatMap(StatsBatcher, (batcher) => batcher.flush),
          Effect.flatMap(UsageTracker, (tracker) => tracker.flush)
        ])
        /** The statements that ten reports cause, and how many of each. */
        const costOf = Effect.fnUntraced(function* (tag: Tag) {
          yield* flush
          statements.length = 0
          for (let report = 0; report < 10; report++) {
            assert.deepInclude(yield* call(tag, requests[tag]), { _tag: "Exit", requestId: tag })
          }
          const during = statements.splice(0).filter(isOfCalls)
          yield* flush
          const afterwards = statements.splice(0).filter(isOfCalls)
          for (const { text } of [...during, ...afterwards]) assert.notMatch(text, /\bworkspace_agents\b/)
          return { during: during.map(Statements.written), afterwards: new Set(afterwards.map(Statements.written)) }
        })
        const times = (statement: string) => Array.from({ length: 10 }, () => statement)

        assert.deepStrictEqual(yield* costOf("BatchUpdateMetadata"), {
          during: [],
          afterwards: new Set(["update_workspace_agent_metadata"])
        })
        const { afterwards, during } = yield* costOf("UpdateStats")
        // the batch of statistics is written every second, whenever that is
        assert.deepStrictEqual(
          during.filter((statement) => statement !== "INSERT INTO workspace_agent_stats"),
          times("UPDATE workspace_builds")
        )
        afterwards.delete("INSERT INTO workspace_agent_stats")
        assert.deepStrictEqual(afterwards, new Set(["UPDATE workspaces"]))
        assert.deepStrictEqual(yield* costOf("ReportConnection"), {
          during: times("INSERT INTO connection_logs"),
          afterwards: new Set()
        })

        assert.deepStrictEqual(
          yield* sql`
            SELECT
              (SELECT value FROM workspace_agent_metadata WHERE workspace_agent_id = ${id}) AS cpu,
              (SELECT count(*)::int FROM workspace_agent_stats WHERE agent_id = ${id}) AS reports,
              (SELECT count(*)::int FROM connection_logs WHERE workspace_id = ${workspace.id}) AS connections,
              (SELECT deadline > now() FROM workspace_builds WHERE workspace_id = ${workspace.id}) AS bumped`,
          [{ cpu: "12 %", reports: 10, connections: 1, bumped: true }]
        )
      })
    )
  }
)
