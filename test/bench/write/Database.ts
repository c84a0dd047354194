/**
 * A Postgres of this run's own, in memory where the system has a place for that, with every agent's rows in it.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { Context, Effect, FileSystem, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as Os from "node:os"
import * as Path from "node:path"
import type { AgentId } from "../../../src/domain/Ids.ts"
import * as PgPubSub from "../../../src/pubsub/PgPubSub.ts"
import * as EmbeddedPostgres from "../../../src/storage/EmbeddedPostgres.ts"
import * as PgMetadataStore from "../../../src/storage/PgMetadataStore.ts"
import * as Postgres from "../../../src/storage/Postgres.ts"
import * as Seed from "../../support/seed.ts"
import * as Workload from "../Workload.ts"

/** The agents of the database, in an order of chance. */
export class Agents extends Context.Service<Agents, ReadonlyArray<AgentId>>()("test/bench/write/Agents") {}

const folder = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = (yield* fs.exists("/dev/shm")) ? "/dev/shm" : Os.tmpdir()
  const folder = yield* fs.makeTempDirectoryScoped({ directory, prefix: "metadata-batcher-bench-" })
  // Postgres may have to run as somebody else
  yield* fs.chmod(folder, 0o755)
  return Path.join(folder, "postgres")
})

const server = Layer.unwrap(Effect.map(folder, (dataDir) => EmbeddedPostgres.layer({ dataDir }))).pipe(
  Layer.provide(NodeFileSystem.layer)
)

const client = Layer.unwrap(EmbeddedPostgres.EmbeddedPostgres.useSync(({ url }) => Postgres.layerMigrated({ url })))

const fill = Effect.fnUntraced(function* (count: number) {
  const sql = yield* SqlClient.SqlClient
  const agents = yield* Seed.agents(count, Workload.keys)
  yield* sql`
    INSERT INTO workspace_agent_metadata (workspace_agent_id, key, value)
    SELECT workspace_agent_id, key, repeat('.', 20) FROM workspace_agent_metadata_descriptions`
  yield* sql`VACUUM ANALYZE`
  return agents
})

/** The server with so many agents and all their rows, and the adapters of the service on it. */
export const layer = (agents: number) =>
  Layer.mergeAll(PgMetadataStore.layer(), PgPubSub.layer(), Layer.effect(Agents, fill(agents))).pipe(
    Layer.provideMerge(client),
    Layer.provideMerge(server)
  )
