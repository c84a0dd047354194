/** Old rows in real tables. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Clock, DateTime, Duration, Effect, Layer, Metric, Option, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import * as Config from "../../src/Config.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import * as Retention from "../../src/operations/Retention.ts"
import * as PgRetentionStore from "../../src/storage/operations/PgRetentionStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import * as WallClock from "../support/WallClock.ts"

/** The time of each row of a kind. */
const times = {
  workspace_agent_logs: "created_at",
  workspace_agent_stats: "created_at",
  workspace_app_stats: "session_ended_at",
  boundary_usage_stats: "updated_at",
  connection_logs: "connect_time",
  workspace_app_statuses: "created_at",
  workspace_agent_script_timings: "ended_at",
  notification_messages: "created_at",
  replica_points: "at"
} as const satisfies { readonly [Kind in Retention.Kind]?: string }

/** The kinds that grow with time. */
type Growing = keyof typeof times

/** Tables that do not grow with time, each with its bound. */
const bounded = {
  organizations: "administrators",
  users: "administrators",
  api_tokens: "administrators: one for each user and name",
  user_secrets: "50 for each user",
  templates: "administrators",
  template_versions: "administrators",
  workspaces: "administrators",
  workspace_builds: "administrators",
  workspace_agents: "administrators, and devcontainers of a workspace",
  workspace_agent_metadata: "the declared keys of an agent",
  workspace_agent_metadata_descriptions: "the declared keys of an agent",
  workspace_agent_context_snapshots: "one for an agent",
  workspace_agent_log_sources: "the scripts of an agent",
  workspace_agent_scripts: "administrators",
  workspace_agent_devcontainers: "administrators",
  workspace_agent_memory_resource_monitors: "one for an agent",
  workspace_agent_volume_resource_monitors: "administrators",
  workspace_apps: "administrators",
  tasks: "one for a workspace",
  site_configs: "the settings of the deployment",
  tailnet_coordinators: "cleaned up by the coordinator",
  tailnet_peers: "cleaned up by the coordinator",
  tailnet_tunnels: "cleaned up by the coordinator",
  tailnet_signing_keys: "one for each day of the last two",
  metadata_batcher_migrations: "one for each migration"
}

const schema = Effect.fnUntraced(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ name: string }>`
    SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`
  return rows.map(({ name }) => name)
})

const agentWithEquipment = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [agentId] = yield* Seed.agents(1, [])
  const appId = yield* Seed.app(agentId, "web")
  const scriptId = Seed.newId(Schema.String)
  yield* sql`
    INSERT INTO workspace_agent_scripts (id, workspace_agent_id, log_source_id, script)
    VALUES (${scriptId}, ${agentId}, gen_random_uuid(), 'true')`
  return { agentId, appId, scriptId }
})

/** Adds a row of each kind for each of the times from `first` on, `step` apart, as the demonstration writes them. */
const fill = Effect.fnUntraced(function* (
  { agentId, appId, scriptId }: { readonly agentId: AgentId; readonly appId: string; readonly scriptId: string },
  first: DateTime.Utc,
  rows: number,
  step: Duration.Duration
) {
  const sql = yield* PgClient.PgClient
  const at = sql`
    FROM generate_series(0, ${rows - 1}) AS number,
      LATERAL (SELECT ${DateTime.toDateUtc(first)}::timestamptz + number * ${`${Duration.toMillis(step)} ms`}::interval AS at) AS time`
  const some = sql`gen_random_uuid()`
  yield* sql`
    INSERT INTO workspace_agent_logs (agent_id, log_source_id, output, created_at)
    SELECT ${agentId}, ${some}, 'a line', at ${at}`
  yield* sql`
    INSERT INTO workspace_agent_stats (id, created_at, user_id, workspace_id, template_id, agent_id)
    SELECT ${some}, at, ${some}, ${some}, ${some}, ${agentId} ${at}`
  yield* sql`
    INSERT INTO workspace_app_stats
      (user_id, workspace_id, agent_id, access_method, slug_or_port, session_id, session_started_at, session_ended_at,
       requests)
    SELECT ${some}, ${some}, ${agentId}, 'path', 'web', ${some}, at, at, 1 ${at}`
  yield* sql`
    INSERT INTO boundary_usage_stats
      (replica_id, unique_workspaces, unique_users, allowed_requests, denied_requests, window_start, updated_at)
    SELECT ${some}, 1, 1, 1, 0, at, at ${at}`
  yield* sql`
    INSERT INTO connection_logs
      (id, connect_time, organization_id, workspace_owner_id, workspace_id, workspace_name, agent_name, type,
       connection_id)
    SELECT ${some}, at, ${some}, ${some}, ${some}, 'dev', 'main', 'ssh', ${some} ${at}`
  yield* sql`
    INSERT INTO workspace_app_statuses (id, app_id, agent_id, workspace_id, state, message, created_at)
    SELECT ${some}, ${appId}, ${agentId}, (SELECT workspace_id FROM workspace_builds WHERE id = (
      SELECT workspace_build_id FROM workspace_agents WHERE id = ${agentId}
    )), 'working', 'on it', at ${at}`
  yield* sql`
    INSERT INTO workspace_agent_script_timings (script_id, started_at, ended_at, exit_code, stage, status)
    SELECT ${scriptId}, at, at, 0, 'cron', 'ok' ${at}`
  yield* sql`
    INSERT INTO notification_messages (id, user_id, template, labels, data, created_by, dedupe_hash, created_at)
    SELECT ${some}, (SELECT id FROM users LIMIT 1), 'memory', '{}', '{}', 'agent', uuid_send(${some}), at ${at}`
  yield* sql`
    INSERT INTO replica_points (at, replica, agents, updates, rows, statements, notifies, pending, queued)
    SELECT at, ${some}::text, 1, 1, 1, 1, 1, 0, 0 ${at}`
})

const kinds = Object.keys(times) as ReadonlyArray<Growing>

/** The number of rows of a kind, and the time of the oldest one. */
const rowsOf = Effect.fnUntraced(function* (kind: Growing) {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{ rows: number; oldest: number }>`
    SELECT count(*)::int4 AS rows, extract(epoch FROM min(${sql(times[kind])}))::float8 * 1000 AS oldest
    FROM ${sql(kind)}`
  return row!
})

const emptied = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  for (const kind of kinds) yield* sql`DELETE FROM ${sql(kind)}`
  return yield* agentWithEquipment
})

const start = DateTime.makeUnsafe("2026-01-10T00:00:00Z")

layer(PgRetentionStore.layer.pipe(Layer.provideMerge(Postgres.layer)))("PgRetentionStore", (it) => {
  it.effect("purges every table that grows with time [LF-01]", () =>
    Effect.gen(function* () {
      assert.sameMembers(yield* schema(), [...kinds, ...Object.keys(bounded)])
    })
  )

  it.effect("deletes the oldest rows, up to the limit and to the time, in each kind [LF-02]", () =>
    Effect.gen(function* () {
      const equipment = yield* emptied
      yield* fill(equipment, start, 10, Duration.hours(1))
      const { purge } = yield* Retention.RetentionStore
      const before = DateTime.add(start, { hours: 5 })

      for (const kind of kinds) {
        assert.deepStrictEqual(yield* purge(kind, before, 3), Option.some(3), kind)
        assert.strictEqual((yield* rowsOf(kind)).oldest, DateTime.toEpochMillis(start) + 3 * 3_600_000, kind)
        assert.deepStrictEqual(yield* purge(kind, before, 3), Option.some(2), kind)
        assert.deepStrictEqual(yield* purge(kind, before, 3), Option.some(0), kind)
        assert.strictEqual((yield* rowsOf(kind)).rows, 5, kind)
      }
    })
  )

  it.effect("keeps the latest status of an app however old it is [LF-05]", () =>
    Effect.gen(function* () {
      const equipment = yield* emptied
      yield* fill(equipment, start, 2, Duration.hours(1))
      const { purge } = yield* Retention.RetentionStore

      assert.deepStrictEqual(
        yield* purge("workspace_app_statuses", DateTime.add(start, { days: 100 }), 10),
        Option.some(1)
      )
      assert.strictEqual(
        (yield* rowsOf("workspace_app_statuses")).oldest,
        DateTime.toEpochMillis(DateTime.add(start, { hours: 1 }))
      )
    })
  )

  it.effect("counts deleted lines no longer against the limit of an agent [LF-05]", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const equipment = yield* emptied
      yield* fill(equipment, start, 4, Duration.hours(1))
      yield* sql`
        UPDATE workspace_agents SET logs_length = 24, logs_overflowed = true WHERE id = ${equipment.agentId}`
      const { purge } = yield* Retention.RetentionStore

      yield* purge("workspace_agent_logs", DateTime.add(start, { hours: 3 }), 10)

      assert.deepStrictEqual(
        yield* sql`SELECT logs_length, logs_overflowed FROM workspace_agents WHERE id = ${equipment.agentId}`,
        [{ logs_length: 6, logs_overflowed: false }]
      )
    })
  )

  it.effect("deletes expired tokens, and deleted agents, workspaces and users with all of theirs [LF-07]", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      yield* sql`DELETE FROM workspaces`
      yield* sql`DELETE FROM users`
      const gone = yield* agentWithEquipment
      const kept = yield* agentWithEquipment
      const [deletedAgent] = yield* Seed.agents(1, ["cpu"])
      yield* fill(gone, start, 2, Duration.hours(1))
      yield* sql`
        UPDATE workspaces SET deleted = true
        WHERE id = (SELECT workspace_id FROM workspace_app_statuses WHERE agent_id = ${gone.agentId} LIMIT 1)`
      yield* sql`
        UPDATE users SET deleted = true WHERE id IN (SELECT owner_id FROM workspaces WHERE deleted)`
      yield* sql`UPDATE workspace_agents SET deleted = true WHERE id = ${deletedAgent}`
      for (const hours of [-1, 1]) {
        yield* sql`
          INSERT INTO api_tokens (id, user_id, name, hash, expires_at)
          SELECT gen_random_uuid(), id, ${String(hours)}, uuid_send(gen_random_uuid()),
            now() + make_interval(hours => ${hours})
          FROM users WHERE NOT deleted LIMIT 1`
      }
      const { purge } = yield* Retention.RetentionStore
      const all = ["api_tokens", "workspace_agents", "workspaces", "users"] as const
      const [time] = yield* sql<{ now: Date; later: Date }>`SELECT now() AS now, now() + interval '1 minute' AS later`

      const purged = (before: Date) =>
        Effect.forEach(all, (kind) => Effect.map(purge(kind, DateTime.fromDateUnsafe(before), 50), Option.getOrNull))
      assert.deepStrictEqual(yield* purged(new Date(0)), [0, 0, 0, 0])
      assert.deepStrictEqual(yield* purged(time!.later), [1, 2, 1, 1])

      assert.deepStrictEqual(yield* sql`SELECT id FROM workspace_agents`, [{ id: kept.agentId }])
      assert.lengthOf(yield* sql`SELECT FROM workspace_agent_logs WHERE agent_id = ${gone.agentId}`, 0)
      assert.deepStrictEqual(yield* sql`SELECT name FROM api_tokens`, [{ name: "1" }])
    })
  )

  it.effect("deletes nothing while another replica deletes [LF-03]", () =>
    Effect.gen(function* () {
      const equipment = yield* emptied
      yield* fill(equipment, start, 1, Duration.hours(1))
      const { purge } = yield* Retention.RetentionStore
      const later = DateTime.add(start, { days: 1 })

      const { url } = yield* Postgres.TestDatabase
      const other = yield* PgClient.make({ url, maxConnections: 1 }).pipe(Effect.provide(Reactivity.layer))

      const during = yield* other`
        SELECT pg_advisory_xact_lock(hashtextextended('metadata-batcher: retention', 0))`.pipe(
        Effect.andThen(purge("connection_logs", later, 10)),
        other.withTransaction
      )

      assert.deepStrictEqual(during, Option.none())
      assert.deepStrictEqual(yield* purge("connection_logs", later, 10), Option.some(1))
    })
  )

  it.effect("leaves each table of a day of the demonstration within its retention [LF-06]", () =>
    Effect.gen(function* () {
      const settings = yield* Config.read({
        RETENTION_LOGS: "12 hours",
        RETENTION_STATS: "6 hours",
        RETENTION_CONNECTIONS: "12 hours",
        RETENTION_APP_STATUSES: "3 hours",
        RETENTION_SCRIPT_TIMINGS: "12 hours",
        RETENTION_NOTIFICATIONS: "12 hours"
      })
      const equipment = yield* emptied
      const { clock, forward } = yield* WallClock.make
      const pass = Retention.pass(settings).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
      forward(DateTime.toEpochMillis(start))

      yield* Effect.gen(function* () {
        for (let hour = 0; hour < 24; hour++) {
          // two agents that report each 30 s are 240 rows an hour
          yield* fill(equipment, yield* DateTime.now, 240, Duration.seconds(15))
          forward("1 hours")
          yield* pass
        }
      }).pipe(Effect.provideService(Clock.Clock, clock))

      const now = DateTime.toEpochMillis(DateTime.add(start, { days: 1 }))
      for (const kind of kinds) {
        const retention = Duration.toMillis(settings[Retention.kinds[kind]])
        const { oldest, rows } = yield* rowsOf(kind)
        assert.isAtLeast(oldest, now - retention, kind)
        assert.strictEqual(rows, (retention / 3_600_000) * 240, kind)
      }
    })
  )
})
