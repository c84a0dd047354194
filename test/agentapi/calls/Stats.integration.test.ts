/** Statistics of a whole service, from an agent to the tables. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as Server from "../../../src/Server.ts"
import * as Agent from "../../support/agent.ts"
import * as People from "../../support/directory.ts"
import * as Postgres from "../../support/Postgres.ts"
import * as Service from "../../support/service.ts"
import { figures } from "../../support/stats.ts"

layer(Postgres.layer, { excludeTestServices: true })("statistics", (it) => {
  it.effect("are written before a service ends, as is what was in use", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const scope = yield* Scope.make()
      const service = yield* Layer.buildWithScope(Service.layerOver(Server.layerStorage), scope)
      const { id, token, workspace } = yield* Effect.provideContext(People.agent(), service)
      const agent = yield* Agent.client(Context.get(service, Service.TestService).url, People.showing(token))

      const interval = yield* agent.UpdateStats({})
      const stats = { ...figures({ connection_count: 1, session_counts: { cursor: 2 } }), metrics: [] }
      assert.deepStrictEqual(yield* agent.UpdateStats({ stats }), interval)
      yield* Scope.close(scope, Exit.void)

      const rows = yield* sql<{ sessions: unknown; used: boolean }>`
        SELECT stats.session_counts AS sessions, workspace.last_used_at > workspace.created_at AS used
        FROM workspace_agent_stats AS stats
        JOIN workspaces AS workspace ON workspace.id = stats.workspace_id
        WHERE stats.agent_id = ${id} AND workspace.id = ${workspace.id}`
      assert.deepStrictEqual(rows, [{ sessions: { cursor: 2 }, used: true }])
    })
  )
})
