/**
 * A Postgres of this run's own, in memory where the system has a place for that, with counts of its work and its
 * resources.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as Os from "node:os"
import * as Path from "node:path"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import * as Postgres from "../../src/storage/Postgres.ts"
import * as Processes from "./Processes.ts"

/** A folder that everyone can enter: Postgres may have to run as somebody else. */
export const folder = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = (yield* fs.exists("/dev/shm")) ? "/dev/shm" : Os.tmpdir()
  const folder = yield* fs.makeTempDirectoryScoped({ directory, prefix: "metadata-batcher-bench-" })
  yield* fs.chmod(folder, 0o755)
  return folder
})

// all are fresh, so that the parts of one run share no rows

/** The server as the service embeds it, with other settings where they are given. */
const layerServerWith = (settings: Readonly<Record<string, string>>) =>
  Layer.fresh(
    Layer.unwrap(
      Effect.map(folder, (folder) => EmbeddedPostgres.layer({ dataDir: Path.join(folder, "postgres"), settings }))
    ).pipe(Layer.provide(NodeFileSystem.layer))
  )

export const layerServer = layerServerWith({})

/** The same for more connections than a service has. */
export const layerServerOfMany = layerServerWith({ max_connections: "200" })

/** A client of that server, whose schema is up to date. */
export const layerClient = Layer.fresh(
  Layer.unwrap(EmbeddedPostgres.EmbeddedPostgres.useSync(({ url }) => Postgres.layerMigrated({ url })))
)

/** Processor time of all the server's processes so far. */
export const cpuMillis = EmbeddedPostgres.EmbeddedPostgres.useSync(({ pid }) => Processes.treeCpuMillis(pid))

export const version = SqlClient.SqlClient.use((sql) =>
  Effect.map(
    sql<{ version: string }>`SELECT current_setting('server_version') AS version`,
    ([server]) => server!.version
  )
)
