import { collectLogs, type LogRecord } from "../support/logs.ts"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Queue, Redacted } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import { dataFolder, emptyFolder } from "../support/folder.ts"
import { environment, isOpen, otherProcess, otherServer, query, serverOf, settings } from "../support/server.ts"

layer(environment, { excludeTestServices: true })("EmbeddedPostgres", (it) => {
  it.effect("runs queries as soon as it is made, and ends with its scope", () =>
    Effect.gen(function* () {
      const dataDir = yield* emptyFolder

      const server = yield* Effect.scoped(
        Effect.tap(EmbeddedPostgres.make({ dataDir, settings }), (server) =>
          Effect.map(query(server, "SELECT current_setting('server_encoding') AS encoding"), (rows) =>
            assert.deepStrictEqual(rows, [{ encoding: "UTF8" }])
          )
        )
      )

      assert.isFalse(yield* isOpen(server.port))
    })
  )

  it.effect("keeps its data between starts", () =>
    Effect.gen(function* () {
      const dataDir = yield* emptyFolder
      const once = (statement: string) =>
        Effect.scoped(
          Effect.flatMap(EmbeddedPostgres.make({ dataDir, settings }), (server) => query(server, statement))
        )

      yield* once("CREATE TABLE kept AS SELECT 42 AS answer")

      assert.deepStrictEqual(yield* once("SELECT answer FROM kept"), [{ answer: 42 }])
    })
  )

  it.effect("rejects a folder that a live process uses, naming both", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataFolder
      const other = yield* otherServer(dataDir)

      const error = yield* Effect.flip(EmbeddedPostgres.make({ dataDir, settings }))

      assert.deepStrictEqual([error.reason, error.pid], ["running", other.pid])
      assert.include(error.message, `process ${other.pid}`)
      assert.include(error.message, dataDir)
      assert.isTrue(yield* isOpen(other.server.port))
    })
  )

  it.effect("lets one of two processes that start at once have the folder", () =>
    Effect.gen(function* () {
      const dataDir = yield* emptyFolder
      const [a, b] = [yield* otherProcess(dataDir), yield* otherProcess(dataDir)]

      const lost = yield* Effect.raceFirst(Effect.as(a.exited, a), Effect.as(b.exited, b))

      const won = lost === a ? b : a
      const complaint = (yield* Queue.clear(lost.lines)).join("\n")
      assert.include(complaint, `another instance (process ${won.pid}) is running on ${dataDir}`)
      yield* Effect.raceFirst(serverOf(won), Effect.andThen(won.exited, Effect.die("the other process ended as well")))
      won.child.kill("SIGTERM")
      yield* won.exited
      assert.include(yield* Queue.clear(won.lines), "flushed")
    })
  )

  it.effect("ends a server that outlived its process, and starts anew with its data", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataFolder
      const killed = yield* otherServer(dataDir)
      killed.child.kill("SIGKILL")
      yield* killed.exited
      assert.isTrue(yield* isOpen(killed.server.port))

      const logs: Array<LogRecord> = []
      const server = yield* EmbeddedPostgres.make({ dataDir, settings }).pipe(collectLogs(logs))

      assert.isFalse(yield* isOpen(killed.server.port))
      assert.notStrictEqual(server.pid, killed.server.pid)
      assert.deepInclude(logs, {
        level: "Warn",
        message: "ending a Postgres that outlived its owner",
        annotations: { pid: killed.server.pid, owner: killed.pid }
      })
    })
  )

  it.effect("starts on the lock file of a server that is gone, even when its id is another program's by now", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* dataFolder
      yield* Effect.scoped(EmbeddedPostgres.make({ dataDir, settings }))
      yield* fs.writeFileString(Path.join(dataDir, "cluster", "postmaster.pid"), `${process.pid}\n${dataDir}\n`)

      const server = yield* EmbeddedPostgres.make({ dataDir, settings })

      assert.deepStrictEqual(yield* query(server, "SELECT 1 AS one"), [{ one: 1 }])
    })
  )

  it.effect("ends its server when the process exits without closing the scope", () =>
    Effect.gen(function* () {
      const other = yield* otherServer(yield* dataFolder)
      const disconnected = Effect.callback<void>((resume) => {
        Net.connect(other.server.port, "127.0.0.1", () => other.child.stdin.write("exit\n")).on("close", () =>
          resume(Effect.void)
        )
      })

      yield* disconnected
      yield* other.exited

      assert.notInclude(yield* Queue.clear(other.lines), "flushed")
    })
  )

  it.effect("serves a last statement after the terminal interrupted its process", () =>
    Effect.gen(function* () {
      const other = yield* otherServer(yield* dataFolder)

      // as Ctrl-C does: the signal goes to every process of the foreground group
      process.kill(-other.pid, "SIGINT")
      yield* other.exited

      assert.include(yield* Queue.clear(other.lines), "flushed")
      assert.isFalse(yield* isOpen(other.server.port))
    })
  )

  it.effect("reports the end of a server that nobody stopped", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []
      const server = yield* EmbeddedPostgres.make({ dataDir: yield* dataFolder, settings }).pipe(collectLogs(logs))

      process.kill(server.pid, "SIGINT")
      const error = yield* Effect.flip(server.died)

      assert.strictEqual(error.reason, "failed")
      assert.include(error.message, "received fast shutdown request")
      assert.strictEqual(logs.at(-1)?.message, error.message)
    })
  )

  it.effect("ignores and removes the leftovers of a killed first start", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* emptyFolder
      const half = Path.join(dataDir, "new-4194305-Xa12Bc", "cluster")
      yield* fs.makeDirectory(half, { recursive: true })
      yield* fs.writeFileString(Path.join(half, "PG_VERSION"), "1")

      const server = yield* EmbeddedPostgres.make({ dataDir, settings })

      assert.deepStrictEqual(yield* query(server, "SELECT 1 AS one"), [{ one: 1 }])
      assert.isFalse(yield* fs.exists(half))
    })
  )

  it.effect("leaves nothing of its first start when it is interrupted", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* emptyFolder
      const initdbWrites = Effect.callback<void>((resume) => {
        const watcher = Fs.watch(dataDir, { recursive: true }, (_, path) => {
          if (path?.endsWith("PG_VERSION") === true) resume(Effect.void)
        })
        return Effect.sync(() => watcher.close())
      })

      yield* Effect.raceFirst(EmbeddedPostgres.make({ dataDir, settings }), initdbWrites)

      assert.isFalse(yield* fs.exists(Path.join(dataDir, "cluster")))
      assert.deepStrictEqual(
        (yield* fs.readDirectory(dataDir)).filter((name) => name.startsWith("new-")),
        []
      )
    })
  )

  it.effect("rejects the data of another major version, naming both", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const dataDir = yield* emptyFolder
      yield* fs.makeDirectory(Path.join(dataDir, "cluster"))
      yield* fs.writeFileString(Path.join(dataDir, "cluster", "PG_VERSION"), "16\n")

      const error = yield* Effect.flip(EmbeddedPostgres.make({ dataDir }))

      assert.strictEqual(error.reason, "version")
      assert.include(error.message, "is of Postgres 16, the installed binaries are of Postgres 18")
    })
  )
})

const running = Layer.unwrap(Effect.map(dataFolder, (dataDir) => EmbeddedPostgres.layer({ dataDir, settings })))

layer(Layer.provideMerge(running, environment), { excludeTestServices: true })("a running EmbeddedPostgres", (it) => {
  it.effect("lets nobody in without the password, which only the owner of the data can read", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const server = yield* EmbeddedPostgres.EmbeddedPostgres
      const url = new URL(Redacted.value(server.url))
      url.password = ""

      const refused = yield* Effect.flip(query({ ...server, url: Redacted.make(url.href) }, "SELECT 1"))

      assert.strictEqual(refused.reason._tag, "AuthenticationError")
      assert.strictEqual((yield* fs.stat(server.passwordFile)).mode & 0o777, 0o600)
    })
  )

  it.effect("keeps the values of failing statements out of its log", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const server = yield* EmbeddedPostgres.EmbeddedPostgres

      yield* Effect.flip(query(server, "SELECT 'a secret'::int"))

      const log = yield* fs.readFileString(Path.join(server.dataDir, "postgres.log"))
      assert.include(log, "ready to accept connections")
      assert.notInclude(log, "a secret")
    })
  )

  it.effect("ends a failed start with the last words of Postgres", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataFolder
      const holder = yield* EmbeddedPostgres.EmbeddedPostgres

      const error = yield* Effect.flip(EmbeddedPostgres.make({ dataDir, settings, port: holder.port }))

      assert.strictEqual(error.reason, "failed")
      assert.include(error.message, "Address already in use")
    })
  )
})
