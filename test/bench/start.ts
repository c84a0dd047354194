/**
 * Starting: the service on a data folder that exists already, and the library in an application that imports it.
 *
 * Both are the package as it is published, built into a folder of this run.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { Data, Effect, FileSystem, Schema } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Path from "node:path"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import * as Postgres from "./Postgres.ts"
import * as Processes from "./Processes.ts"
import * as Service from "./Service.ts"
import * as Table from "./Table.ts"

const repository = Path.resolve(import.meta.dirname, "../..")
const modules = Path.join(repository, "node_modules")

class BuildFailed extends Data.TaggedError("BuildFailed")<{}> {
  override get message() {
    return "the package cannot be built"
  }
}

const Manifest = Schema.fromJsonString(Schema.Struct({ files: Schema.Array(Schema.String) }))

/** Flags that make a build faster for the smoke run. */
const hasty = ["--noCheck", "--declaration", "false", "--declarationMap", "false"]

/** The folder of the package as users have it, with the modules of this repository beside it. */
const install = Effect.fnUntraced(function* (scale: Table.Scale) {
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const folder = yield* Postgres.folder
  const run = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
    const exitCode = yield* spawner.exitCode(
      ChildProcess.make(process.execPath, args, { cwd: repository, stdout: "inherit", stderr: "inherit" })
    )
    if (exitCode !== 0) return yield* new BuildFailed()
  })
  // as `npm run build` does, which would write into the repository
  const dist = Path.join(folder, "dist")
  const compiler = Path.join(modules, "typescript/bin/tsc")
  yield* run(compiler, "-p", ".tsconfig.build.json", "--outDir", dist, ...(scale === "full" ? [] : hasty))
  yield* run("src/dashboard/internal/bundle.ts", Path.join(dist, "dashboard/page"))
  yield* run("src/operations/internal/guide.ts", Path.join(dist, "operations/guide.html"))
  const manifest = yield* fs.readFileString(Path.join(repository, "package.json"))
  const { files } = yield* Schema.decodeEffect(Manifest)(manifest)
  for (const name of ["package.json", "README.md", "LICENSE", ...files.filter((name) => name !== "dist")]) {
    yield* fs.copy(Path.join(repository, name), Path.join(folder, name))
  }
  const bytes = yield* bytesOf(folder)
  yield* fs.symlink(modules, Path.join(folder, "node_modules"))
  return { folder, bytes }
})

const bytesOf = Effect.fnUntraced(function* (folder: string) {
  const fs = yield* FileSystem.FileSystem
  const names = yield* fs.readDirectory(folder, { recursive: true })
  const sizes = yield* Effect.forEach(names, (name) =>
    Effect.map(fs.stat(Path.join(folder, name)), ({ size, type }) => (type === "File" ? Number(size) : 0))
  )
  return sizes.reduce((sum, size) => sum + size, 0)
})

// -----------------------------------------------------------------------------
// the service
// -----------------------------------------------------------------------------

const serving = Effect.fnUntraced(function* (folder: string, scale: Table.Scale) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const dataDir = Path.join(yield* Postgres.folder, "postgres")
  const serve = Effect.fnUntraced(
    function* (main: string) {
      const [toReady, service] = yield* timed(Service.serve(main, { DATA_DIR: dataDir, DATABASE_URL: undefined }))
      const cpuMillis = Processes.cpuMillis(service.pid)
      const residentBytes = Processes.residentBytes(service.pid)
      const [toEnd] = yield* timed(service.end)
      return {
        "ms to ready": toReady,
        "ms to end": toEnd,
        ...(cpuMillis === undefined ? {} : { "CPU ms": cpuMillis }),
        ...(residentBytes === undefined ? {} : { MB: residentBytes / 1e6 })
      }
    },
    Effect.scoped,
    Effect.provideService(ChildProcessSpawner.ChildProcessSpawner, spawner)
  )
  const installed = Path.join(folder, "dist/main.js")
  // the first start makes the folder and the schema
  if (scale === "full") yield* serve(installed)

  return Table.make({
    name: "serve",
    title: "serve, from the start of its process to its readiness, on a data folder with a schema",
    notes: [
      "The embedded Postgres starts with it and ends with it. CPU and memory are those of the service's process."
    ],
    columns: { "ms to ready": 0, "ms to end": 0, "CPU ms": 0, MB: 0 },
    reference: "metadata-batcher serve",
    contestants: [
      { name: "metadata-batcher serve", round: serve(installed) },
      ...(scale === "full"
        ? [
            {
              name: "npm start",
              remark: "in a checkout: TypeScript, without the demonstration",
              round: serve(Path.join(repository, "src/main.ts"))
            }
          ]
        : []),
      {
        name: "its Postgres alone",
        remark: "limit: the same server on the same folder, from a process that runs already",
        round: Effect.gen(function* () {
          const [toReady] = yield* timed(EmbeddedPostgres.make({ dataDir }))
          return { "ms to ready": toReady }
        }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))
      },
      {
        name: "Node alone",
        remark: "limit: a process that does nothing",
        round: Effect.gen(function* () {
          const [toEnd] = yield* timed(spawner.exitCode(ChildProcess.make(process.execPath, ["--eval", ""])))
          return { "ms to ready": toEnd }
        })
      }
    ]
  })
})

/** Returns the result of an effect, and its duration in milliseconds. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(effect, (answer) => [performance.now() - began, answer] as const)
  })

// -----------------------------------------------------------------------------
// the library
// -----------------------------------------------------------------------------

/** The output of a process that imports a package. */
const Imported = Schema.fromJsonString(Schema.Struct({ millis: Schema.Finite, heapBytes: Schema.Finite }))
const Loaded = Schema.fromJsonString(Schema.Array(Schema.String))

const importing = (name: string) => `
  const before = process.memoryUsage().heapUsed
  const began = performance.now()
  await import(${JSON.stringify(name)})
  console.log(JSON.stringify({
    millis: performance.now() - began,
    heapBytes: process.memoryUsage().heapUsed - before
  }))`

/** Prints the files that an import loads. */
const listing = (name: string) => `
  import { registerHooks } from "node:module"
  const loaded = []
  registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
  await import(${JSON.stringify(name)})
  console.log(JSON.stringify(loaded.filter((url) => url.startsWith("file:")).map((url) => new URL(url).pathname)))`

const peers: ReadonlyArray<readonly [name: string, remark?: string]> = [
  ["effect", "limit: what metadata-batcher imports"],
  ["rxjs"],
  ["bottleneck"],
  ["@tanstack/pacer"],
  ["p-queue"],
  ["dataloader"]
]

const library = Effect.fnUntraced(function* (folder: string, bytes: number, scale: Table.Scale) {
  const fs = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const evaluate = (code: string) =>
    spawner.string(ChildProcess.make(process.execPath, ["--input-type=module", "--eval", code], { cwd: folder }))

  const contestant = Effect.fnUntraced(function* (name: string, installedBytes: number, remark?: string) {
    const loaded = yield* Effect.flatMap(evaluate(listing(name)), Schema.decodeEffect(Loaded))
    const sizes = yield* Effect.forEach(loaded, (path) => Effect.map(fs.stat(path), ({ size }) => Number(size)))
    return {
      name,
      remark,
      round: Effect.gen(function* () {
        const { heapBytes, millis } = yield* Effect.flatMap(evaluate(importing(name)), Schema.decodeEffect(Imported))
        return {
          "import ms": millis,
          "heap MB": heapBytes / 1e6,
          files: loaded.length,
          "KB loaded": sizes.reduce((sum, size) => sum + size, 0) / 1e3,
          "KB installed": installedBytes / 1e3
        }
      })
    }
  })
  const dependency = (name: string, remark?: string) =>
    Effect.flatMap(bytesOf(Path.join(modules, name)), (bytes) => contestant(name, bytes, remark))

  return Table.make({
    name: "import",
    title: "the library, imported by a process that has nothing else to do",
    notes: [
      "Of the service's parts the entry loads none. Installed is the package alone, loaded is all that its import loads."
    ],
    columns: { "import ms": 1, "heap MB": 1, files: 0, "KB loaded": 0, "KB installed": 0 },
    reference: "metadata-batcher",
    contestants: [
      yield* contestant("metadata-batcher", bytes, "with effect, and sources beside what is built"),
      ...(yield* Effect.forEach(scale === "full" ? peers : peers.slice(-1), ([name, remark]) =>
        dependency(name, remark)
      ))
    ]
  })
})

export const start: Table.Part = {
  name: "start",
  description: "the service and the library, from nothing",
  tables: Effect.fnUntraced(function* (scale) {
    const { bytes, folder } = yield* install(scale)
    return [yield* serving(folder, scale), yield* library(folder, bytes, scale)]
  })
}
