/** Statistics in real tables. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer, Option, Schema } from "effect"
import * as Crypto from "node:crypto"
import { StatsCounters } from "../../src/usage/AgentStats.ts"
import { type AppStats, type StatsRow, StatsStore } from "../../src/usage/StatsStore.ts"
import type { WorkspaceId } from "../../src/domain/Ids.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import * as PgStatsStore from "../../src/storage/PgStatsStore.ts"
import { at } from "../support/metadataBatcher.ts"
import { lockedBefore } from "../support/locked.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { report } from "../support/stats.ts"

const id = (number: number) => `00000000-0000-4000-c000-${number.toString(16).padStart(12, "0")}`

/** A row of an agent of the row's own. */
const row = (number: number, said: Partial<StatsRow["figures"]> = {}): StatsRow => ({
  id: id(number),
  ...report(number, said)
})

const stored = Effect.fnUntraced(function* (rows: ReadonlyArray<StatsRow>) {
  const sql = yield* PgClient.PgClient
  return yield* sql<Record<string, unknown>>`
    SELECT * FROM workspace_agent_stats WHERE id IN ${sql.in(rows.map(({ id }) => id))} ORDER BY id`
})

layer(PgStatsStore.layer.pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgStatsStore",
  (it) => {
    it.effect("writes every figure of a report into its column", () =>
      Effect.gen(function* () {
        const { insert } = yield* StatsStore
        const given = row(1, {
          connections_by_proto: { TCP: 2, 'a "quote"': 1 },
          connection_count: 3,
          connection_median_latency_ms: 1.25,
          rx_packets: 4,
          rx_bytes: Number.MAX_SAFE_INTEGER,
          tx_packets: 6,
          tx_bytes: 7,
          session_count_vscode: 8,
          session_count_jetbrains: 9,
          session_count_reconnecting_pty: 10,
          session_count_ssh: 11,
          session_counts: { cursor: 12 }
        })

        yield* insert([{ ...given, usage: true }])

        const { agentId, figures, templateId, userId, workspaceId } = given
        const [found] = yield* stored([given])
        assert.deepStrictEqual(
          Object.fromEntries(
            Object.entries(found!).map(([name, value]) => [name, typeof value === "bigint" ? Number(value) : value])
          ),
          {
            ...figures,
            id: id(1),
            created_at: DateTime.toDateUtc(given.at),
            user_id: userId,
            workspace_id: workspaceId,
            template_id: templateId,
            agent_id: agentId,
            usage: true
          }
        )
      })
    )

    it.effect("writes a batch at once, and a row that is there already no second time", () =>
      Effect.gen(function* () {
        const { insert } = yield* StatsStore
        const rows = Array.from({ length: 2_000 }, (_, index) => row(1_000 + index))

        yield* insert(rows.slice(0, 10))
        yield* insert(rows)
        yield* insert([])

        assert.strictEqual((yield* stored(rows)).length, 2_000)
      })
    )

    const Raw = Schema.Struct({
      connections_by_proto: Schema.Record(Schema.String, Schema.Natural),
      session_counts: Schema.Record(Schema.String, Schema.Natural),
      connection_median_latency_ms: Schema.Finite,
      rx_bytes: Schema.Natural
    })
    it.effect.prop(
      "takes all that a report may hold",
      { raw: Raw },
      ({ raw }) =>
        Effect.gen(function* () {
          const decoded = yield* Effect.option(Schema.decodeEffect(StatsCounters)(raw))
          if (Option.isNone(decoded)) return
          yield* (yield* StatsStore).insert([{ ...row(0, decoded.value), id: Crypto.randomUUID() }])
        }),
      { arbitrary: { runs: 100 } }
    )

    it.effect("fails as rejected for bad rows, and writes none of the batch", () =>
      Effect.gen(function* () {
        const { insert } = yield* StatsStore
        const rows = [row(10), row(11, { session_counts: { "a\0b": 1 } })]

        assert.strictEqual((yield* Effect.flip(insert(rows))).reason, "rejected")
        assert.deepStrictEqual(yield* stored(rows), [])
      })
    )

    it.effect("locks the workspaces of apps in the order of their ids, however they are reported and stored", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { insertApps } = yield* StatsStore
        const seeds = [yield* Seed.workspace, yield* Seed.workspace, yield* Seed.workspace]
        const ids = seeds.map(({ workspaceId }) => workspaceId).toSorted()
        const reversed = ids.toReversed()
        // puts the rows in another order than their ids
        for (const id of reversed) yield* sql`UPDATE workspaces SET name = name WHERE id = ${id}`
        const reports = reversed.map((workspaceId, number): AppStats => ({
          userId: seeds[0]!.ownerId,
          workspaceId,
          agentId: Seed.newId(AgentId),
          accessMethod: "path",
          slugOrPort: "8080",
          sessionId: id(20 + number),
          sessionStartedAt: at(0),
          sessionEndedAt: at(1),
          requests: 1
        }))

        assert.deepStrictEqual(yield* lockedBefore("workspaces", ids[1]!, ids, insertApps(reports, at(100))), [ids[0]!])
      })
    )

    it.effect("writes the use of apps and marks each workspace once, all or nothing [ST-25]", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { insertApps } = yield* StatsStore
        const seeds = [yield* Seed.workspace, yield* Seed.workspace, yield* Seed.workspace]
        const [used, other, untouched] = seeds.map(({ workspaceId }) => workspaceId)
        const agentId = Seed.newId(AgentId)
        const session = (number: number, workspaceId: WorkspaceId, end: number, requests: number): AppStats => ({
          userId: seeds[0]!.ownerId,
          workspaceId,
          agentId,
          accessMethod: "path",
          slugOrPort: "8080",
          sessionId: id(number),
          sessionStartedAt: at(0),
          sessionEndedAt: at(end),
          requests
        })
        const lastUsed = Effect.map(
          sql<{ at: Date }>`
            SELECT last_used_at AS at FROM workspaces WHERE id IN ${sql.in([used!, other!, untouched!])}
            ORDER BY array_position(ARRAY[${used!}, ${other!}, ${untouched!}]::uuid[], id)`,
          (rows) => rows.map(({ at }) => at.getTime())
        )
        const sessions = Effect.map(
          sql<{ id: string; end: Date; requests: number }>`
            SELECT session_id AS id, session_ended_at AS end, requests FROM workspace_app_stats
            WHERE agent_id = ${agentId} ORDER BY session_id`,
          (rows) => rows.map(({ end, id, requests }) => [id, end.getTime(), requests])
        )
        const [, , never] = yield* lastUsed
        const time = (millis: number) => DateTime.toEpochMillis(at(millis))

        yield* insertApps(
          [session(1, used!, 5, 1), session(2, used!, 6, 2), session(3, other!, 7, 3), session(1, used!, 8, 4)],
          at(100)
        )
        assert.deepStrictEqual(yield* lastUsed, [time(100), time(100), never])
        assert.deepStrictEqual(yield* sessions, [
          [id(1), time(8), 4],
          [id(2), time(6), 2],
          [id(3), time(7), 3]
        ])

        // a later end of a known session; neither an end nor a last use moves backwards
        yield* insertApps([session(2, used!, 9, 5), session(3, other!, 1, 1)], at(50))
        assert.deepStrictEqual(yield* lastUsed, [time(100), time(100), never])
        assert.deepStrictEqual((yield* sessions).slice(1), [
          [id(2), time(9), 5],
          [id(3), time(7), 3]
        ])

        // a write that fails marks nothing either
        const failed = yield* Effect.flip(
          insertApps([session(4, untouched!, 9, 1), { ...session(5, used!, 9, 1), sessionId: "none" }], at(200))
        )
        assert.deepInclude(failed, { _tag: "StoreError", operation: "write the use of apps" })
        assert.deepStrictEqual(yield* lastUsed, [time(100), time(100), never])
        assert.strictEqual((yield* sessions).length, 3)
      })
    )
  }
)
