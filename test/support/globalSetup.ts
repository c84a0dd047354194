/**
 * One Postgres for a whole test run, with a migrated database that suites copy.
 *
 * Its folder bears the id of the process that runs the tests, in memory where the system has a place for that. What a
 * killed run left behind is ended and removed by the next one.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, FileSystem, Layer, ManagedRuntime, Option, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import * as Os from "node:os"
import * as Path from "node:path"
import type { TestProject } from "vitest/node"
import * as EmbeddedPostgres from "../../src/storage/EmbeddedPostgres.ts"
import * as Cluster from "../../src/storage/internal/cluster.ts"
import * as Postmaster from "../../src/storage/internal/postmaster.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** A superuser's URL of the server, password included. */
    readonly postgresUrl: string
    /** The database to copy. */
    readonly postgresTemplate: string
  }
}

const prefix = "metadata-batcher-test-"

const root = Effect.map(
  FileSystem.FileSystem.use((fs) => fs.exists("/dev/shm")),
  (inMemory) => (inMemory ? "/dev/shm" : Os.tmpdir())
)

const isAlive = (pid: number) => Effect.isSuccess(Effect.try(() => process.kill(pid, 0)))

const sweep = Effect.fnUntraced(function* (root: string) {
  const fs = yield* FileSystem.FileSystem
  for (const name of yield* fs.readDirectory(root)) {
    if (!name.startsWith(prefix) || (yield* isAlive(Number(name.slice(prefix.length))))) continue
    const left = yield* Postmaster.find(Cluster.folderOf(Path.join(root, name)))
    if (Option.isSome(left)) yield* Postmaster.end(yield* Postmaster.orphan(left.value.pid), "5 seconds")
    yield* fs.remove(Path.join(root, name), { recursive: true })
  }
})

const folder = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const parent = yield* root
  yield* sweep(parent)
  return yield* Effect.acquireRelease(Effect.succeed(Path.join(parent, `${prefix}${process.pid}`)), (folder) =>
    Effect.ignore(fs.remove(folder, { recursive: true, force: true }), { log: true })
  )
})

const server = Layer.unwrap(
  Effect.map(folder, (dataDir) =>
    EmbeddedPostgres.layer({
      dataDir,
      settings: {
        fsync: "off",
        synchronous_commit: "off",
        full_page_writes: "off",
        max_connections: "300",
        log_error_verbosity: "default"
      }
    })
  )
).pipe(Layer.provide(NodeFileSystem.layer))

const template = "template_migrated"

const prepare = Effect.gen(function* () {
  const { url } = yield* EmbeddedPostgres.EmbeddedPostgres
  const sql = yield* PgClient.make({ url, maxConnections: 1 })
  yield* sql`CREATE DATABASE ${sql(template)}`
  return Redacted.value(url)
}).pipe(Effect.scoped, Effect.provide(Reactivity.layer))

export default async (project: TestProject) => {
  const runtime = ManagedRuntime.make(server)
  try {
    project.provide("postgresUrl", await runtime.runPromise(prepare))
    project.provide("postgresTemplate", template)
  } catch (error) {
    await runtime.dispose()
    throw error
  }
  return () => runtime.dispose()
}
