/** Times that are wrong, and the outcomes of rows. */
import { layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import { Stored, storeTimesSuite } from "../metadata/storeTimesSuite.ts"
import * as DeclaredAgents from "../support/declaredAgents.ts"
import * as Postgres from "../support/Postgres.ts"

const stored = Layer.effect(
  Stored,
  SqlClient.SqlClient.useSync((sql) => ({
    putAhead: (agentId, key, value, aheadMillis) =>
      Effect.orDie(sql`
        UPDATE workspace_agent_metadata
        SET value = ${value}, collected_at = now() + make_interval(secs => ${aheadMillis / 1_000})
        WHERE workspace_agent_id = ${agentId} AND key = ${key}`),
    remove: (agentId, key) =>
      Effect.orDie(sql`DELETE FROM workspace_agent_metadata WHERE workspace_agent_id = ${agentId} AND key = ${key}`),
    another: Effect.provideService(PgMetadataStore.make(), SqlClient.SqlClient, sql)
  }))
)

layer(Layer.mergeAll(PgMetadataStore.layer(), DeclaredAgents.layer, stored).pipe(Layer.provideMerge(Postgres.layer)), {
  excludeTestServices: true
})("PgMetadataStore", storeTimesSuite)
