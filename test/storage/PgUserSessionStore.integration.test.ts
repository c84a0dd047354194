import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { UserSessionId } from "../../src/domain/Ids.ts"
import * as PgUserSessionStore from "../../src/storage/PgUserSessionStore.ts"
import { workspace } from "../support/identity.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { type UserSessionReport, UserSessionStore } from "../../src/agentapi/ports/UserSessionStore.ts"

const at = (minute: number) => DateTime.makeUnsafe(Date.UTC(2026, 2, 1, 12, minute))

const begin = (connectionId: UserSessionId): UserSessionReport => ({
  connectionId,
  agentName: "main",
  workspace,
  type: "jetbrains",
  at: at(0),
  ip: "10.0.0.1",
  appName: null,
  end: null
})

const end = (connectionId: UserSessionId): UserSessionReport => ({
  ...begin(connectionId),
  at: at(5),
  ip: null,
  end: { code: 255, reason: "gone" }
})

const records = Effect.fnUntraced(function* (connectionId: UserSessionId) {
  const sql = yield* PgClient.PgClient
  return yield* sql`
    SELECT
      connect_time, disconnect_time, code, disconnect_reason AS reason, host(ip) AS ip, type, agent_name,
      organization_id, workspace_owner_id, workspace_id, workspace_name, app_name
    FROM connection_logs WHERE connection_id = ${connectionId}`
})

const open = {
  connect_time: DateTime.toDateUtc(at(0)),
  disconnect_time: null,
  code: null,
  reason: null,
  ip: "10.0.0.1",
  type: "jetbrains",
  agent_name: "main",
  organization_id: workspace.organizationId,
  workspace_owner_id: workspace.ownerId,
  workspace_id: workspace.id,
  workspace_name: workspace.name,
  app_name: null
}

const closed = { ...open, disconnect_time: DateTime.toDateUtc(at(5)), code: 255, reason: "gone" }

layer(PgUserSessionStore.layer.pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgUserSessionStore",
  (it) => {
    it.effect("has one record of a connection, which its end completes [CL-04, CL-08]", () =>
      Effect.gen(function* () {
        const { record } = yield* UserSessionStore
        const id = Seed.newId(UserSessionId)

        yield* record(begin(id))
        assert.deepStrictEqual(yield* records(id), [open])
        yield* record(end(id))
        assert.deepStrictEqual(yield* records(id), [closed])
      })
    )

    it.effect("has the same record whichever is reported first, and however often [CL-08]", () =>
      Effect.gen(function* () {
        const { record } = yield* UserSessionStore
        for (const reports of [
          [end, begin],
          [begin, end, begin, end],
          [end, end, begin]
        ]) {
          const id = Seed.newId(UserSessionId)
          yield* Effect.forEach(reports, (report) => record(report(id)))
          assert.deepStrictEqual(yield* records(id), [closed])
        }
      })
    )

    it.effect("records the end of a session whose start was not reported [CL-08]", () =>
      Effect.gen(function* () {
        const { record } = yield* UserSessionStore
        const id = Seed.newId(UserSessionId)

        yield* record(end(id))

        assert.deepStrictEqual(yield* records(id), [{ ...closed, connect_time: DateTime.toDateUtc(at(5)), ip: null }])
      })
    )

    it.effect("distinguishes connections with one number in two workspaces [CL-08]", () =>
      Effect.gen(function* () {
        const { record } = yield* UserSessionStore
        const id = Seed.newId(UserSessionId)
        const { workspaceId } = yield* Seed.workspace

        yield* record(begin(id))
        yield* record({ ...begin(id), workspace: { ...workspace, id: workspaceId } })
        yield* record({ ...begin(id), agentName: "other" })

        assert.strictEqual((yield* records(id)).length, 3)
      })
    )

    it.effect("stores an address as it came, and none where there is none [CL-06]", () =>
      Effect.gen(function* () {
        const { record } = yield* UserSessionStore
        const ips = ["::1", "2001:db8::1", "::ffff:10.0.0.1", "127.0.0.1", null]

        const stored = yield* Effect.forEach(ips, (ip) => {
          const id = Seed.newId(UserSessionId)
          return Effect.andThen(record({ ...begin(id), ip }), records(id))
        })

        assert.deepStrictEqual(
          stored,
          ips.map((ip) => [{ ...open, ip }])
        )
      })
    )
  }
)
