/**
 * One Postgres for a whole test run, with a migrated database that suites copy.
 *
 * The run has one folder, in memory where the system has a place for that, named after the process that runs the tests.
 * Beside the server it holds the data of one that does not run, which tests with a server of their own copy.
 * A run ends and removes the leftovers of killed runs.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { Context, Effect, FileSystem, Layer, ManagedRuntime, Option, Redacted, References } from "effect"
import { SqlClient } from "effect/sql"
import * as Crypto from "node:crypto"
import * as Os from "node:os"
import * as Path from "node:path"
import type { TestProject } from "vitest/node"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import * as Cluster from "../../src/postgres/internal/cluster.ts"
import * as Postmaster from "../../src/postgres/internal/postmaster.ts"
import * as Postgres from "../../src/storage/Postgres.ts"
import * as Bundle from "./bundle.ts"
import { copyData, startedData } from "./folder.ts"
import * as Programs from "./programs.ts"

declare module "vitest" {
  interface ProvidedContext {
    /** A folder for the files of this run, fast and gone afterwards. */
    readonly testFolder: string
    /** A superuser's URL of the server, password included. */
    readonly postgresUrl: string
    /** The database to copy. */
    readonly postgresTemplate: string
    /** The seed of the random input of properties. */
    readonly propertySeed: string
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
    const left = Path.join(root, name)
    for (const dataDir of yield* fs.readDirectory(left)) {
      const server = yield* Postmaster.find(Cluster.folderOf(Path.join(left, dataDir)))
      if (Option.isSome(server)) yield* Postmaster.end(yield* Postmaster.orphan(server.value.pid), "5 seconds")
    }
    // a process of that run may still be about to end: the next run tries again
    yield* Effect.ignore(fs.remove(left, { recursive: true }))
  }
})

/** The folder of this run. */
class TestFolder extends Context.Service<TestFolder, string>()("test/support/TestFolder") {
  static readonly layer = Layer.effect(
    TestFolder,
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const parent = yield* root
      yield* sweep(parent)
      const folder = Path.join(parent, `${prefix}${process.pid}`)
      yield* Effect.acquireRelease(fs.makeDirectory(folder), () =>
        Effect.ignore(fs.remove(folder, { recursive: true }), { log: true })
      )
      yield* fs.chmod(folder, 0o755)
      return folder
    })
  )
}

const server = Layer.unwrap(
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* TestFolder
    const [started, dataDir] = [Path.join(folder, startedData), Path.join(folder, "server")]
    yield* Effect.scoped(EmbeddedPostgres.make({ dataDir: started, settings: { fsync: "off" } }))
    yield* fs.makeDirectory(dataDir)
    yield* fs.chmod(dataDir, 0o755)
    yield* copyData(started, dataDir)
    return EmbeddedPostgres.layer({
      dataDir,
      settings: {
        fsync: "off",
        synchronous_commit: "off",
        full_page_writes: "off",
        max_connections: String(300 + 30 * Os.availableParallelism())
      }
    })
  })
)

/** The programs that tests start. */
const programs = Layer.effectDiscard(Effect.flatMap(TestFolder, (folder) => Effect.promise(() => Bundle.make(folder))))

const template = "template_migrated"

const prepare = Effect.gen(function* () {
  const server = yield* EmbeddedPostgres.EmbeddedPostgres
  const url = Redacted.value(server.url)
  const copy = new URL(url)
  copy.pathname = `/${template}`
  yield* Effect.provide(
    SqlClient.SqlClient.use((sql) =>
      Effect.gen(function* () {
        yield* sql`CREATE DATABASE ${sql(template)}`
        // to prove the password takes most of the time of a connection, of which a run makes a thousand
        yield* sql.withTransaction(
          Effect.andThen(
            sql`SET LOCAL scram_iterations = 1`,
            sql.unsafe(`ALTER ROLE CURRENT_USER PASSWORD '${copy.password}'`)
          )
        )
      })
    ),
    Postgres.layer({ url: server.url })
  )
  yield* Effect.provide(Postgres.migrate, Postgres.layer({ url: Redacted.make(copy.href) }))
  return { url, folder: yield* TestFolder }
}).pipe(Effect.provideService(References.MinimumLogLevel, "Warn"))

/** Says which suites are left out because a program is missing. No suite may be left out in CI. */
const checkPrograms = () => {
  const missing = Programs.missing()
  if (missing.length === 0) return
  if (process.env["CI"] === "true") throw new Error(missing.join("\n"))
  for (const sentence of missing) process.stderr.write(`${sentence}\n`)
}

export default async (project: TestProject) => {
  checkPrograms()
  const { FUZZ_SEED: propertySeed = Crypto.randomBytes(4).toString("hex") } = process.env
  process.stderr.write(`FUZZ_SEED=${propertySeed} repeats the random input of this run\n`)
  project.provide("propertySeed", propertySeed)
  // the server and the programs come to be at the same time
  const needed = Bundle.mayBeStarted(project.vitest.state.getPaths()) ? Layer.merge(server, programs) : server
  const runtime = ManagedRuntime.make(
    needed.pipe(Layer.provideMerge(TestFolder.layer), Layer.provide(NodeFileSystem.layer))
  )
  try {
    const { folder, url } = await runtime.runPromise(prepare)
    project.provide("testFolder", folder)
    project.provide("postgresUrl", url)
    project.provide("postgresTemplate", template)
  } catch (error) {
    await runtime.dispose()
    throw error
  }
  return () => runtime.dispose()
}
