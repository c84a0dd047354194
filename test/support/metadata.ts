/**
 * Writing and reading metadata through the store under test.
 */
import { PgClient } from "@effect/sql-pg"
import { DateTime, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { MetadataRow } from "../../src/domain/Metadata.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import * as Postgres from "./Postgres.ts"

export const noon = DateTime.makeUnsafe("2026-01-22T12:00:00Z")
export const at = (millis: number) => DateTime.add(noon, { milliseconds: millis })

export const row = (agentId: AgentId, key: string, value: string, collectedAt = noon, error = ""): MetadataRow => ({
  agentId,
  key,
  value,
  error,
  collectedAt
})

export const updateBatch = (rows: ReadonlyArray<MetadataRow>) => MetadataStore.use((store) => store.updateBatch(rows))

export const read = (agentId: AgentId, keys?: ReadonlyArray<string>) =>
  MetadataStore.use((store) => store.read(agentId, keys))

/** The samples of an agent: value, error and time by key. */
export const samples = (agentId: AgentId) =>
  Effect.map(read(agentId), (all) =>
    Object.fromEntries(all.map(({ collectedAt, error, key, value }) => [key, [value, error, collectedAt]]))
  )

/** A store with options or a client of its own, on the same database. */
export const otherStore = Effect.fnUntraced(function* (
  options: PgMetadataStore.Options,
  client?: Partial<PgClient.PgPoolConfig>
) {
  const { url } = yield* Postgres.TestDatabase
  const sql = yield* PgClient.make({ url, ...client })
  return yield* Effect.provideService(PgMetadataStore.make(options), SqlClient.SqlClient, sql)
})
