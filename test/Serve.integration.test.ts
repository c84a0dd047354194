/** The service as a process runs it, on a database of its own. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Redacted } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import { readFileSync, statSync } from "node:fs"
import * as Net from "node:net"
import { inspect } from "node:util"
import * as Config from "../src/Config.ts"
import * as Fleet from "../src/fleet/Fleet.ts"
import * as Serve from "../src/Serve.ts"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Agent from "./support/agent.ts"
import * as Console from "./support/console.ts"
import * as People from "./support/directory.ts"
import { emptyFolder } from "./support/folder.ts"
import { portOf } from "./support/localServer.ts"
import * as Postgres from "./support/Postgres.ts"

/** The settings of a service on the suite's database, which writes when it stops and not before. */
const settings = Effect.fnUntraced(function* (environment: Readonly<Record<string, string>> = {}) {
  const { url } = yield* Postgres.TestDatabase
  const dataDir = yield* Effect.provide(emptyFolder, NodeFileSystem.layer)
  return yield* Effect.provideService(
    Config.read({
      PORT: "0",
      DATA_DIR: dataDir,
      DATABASE_URL: Redacted.value(url),
      METADATA_FLUSH_INTERVAL: "1 hour",
      ...environment
    }),
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromEnvRecord({})
  )
})

/** Starts a service and waits until it is ready. */
const start = Effect.fnUntraced(function* (environment?: Readonly<Record<string, string>>) {
  const { logs, next, printing } = yield* Console.watched
  const run = Effect.scoped(Serve.run(yield* settings(environment)))
  const fiber = yield* Effect.forkScoped(printing(run))
  const welcome = yield* Effect.raceFirst(next, Fiber.join(fiber))
  const file = /administrator's token +in (\S+)/.exec(welcome)?.[1]
  return {
    welcome,
    url: /ready at (\S+)/.exec(welcome)![1]!,
    file,
    token: file === undefined ? undefined : readFileSync(file, "utf8").trim(),
    logs,
    next,
    stop: Fiber.interrupt(fiber)
  }
})

const status = (url: string, token: string) =>
  Effect.map(
    HttpClient.get(`${url}/api/v2/users`, { headers: People.bearer(Redacted.make(token)) }),
    (response) => response.status
  ).pipe(Effect.provide(FetchHttpClient.layer))

/** Runs a test on a database of its own: an administrator is made on a new database alone. */
const onNewDatabase = <A, E, R>(test: Effect.Effect<A, E, R>) => Effect.provide(Effect.scoped(test), Postgres.layer)

describe("Service", () => {
  it.live("makes no administrator whose token it cannot keep, and says what to set [LF-16]", () =>
    Effect.gen(function* () {
      const { printing } = yield* Console.watched
      const dataDir = "/dev/null/data"

      const error = yield* Effect.flip(printing(Effect.scoped(Serve.run(yield* settings({ DATA_DIR: dataDir })))))

      assert.include(error.message, `cannot write the administrator's token to ${dataDir}/admin-token (`)
      assert.include(error.message, "set ADMIN_TOKEN")
      assert.lengthOf(yield* SqlClient.SqlClient.use((sql) => sql`SELECT FROM users WHERE username = 'admin'`), 0)
    }).pipe(onNewDatabase)
  )

  it.live(
    "prints its address, once the place of the first token, and at its end how much it wrote and lost [LF-16]",
    () =>
      Effect.gen(function* () {
        const { file, logs, next, stop, token = "", url, welcome } = yield* start()
        assert.strictEqual(statSync(file!).mode & 0o777, 0o600)
        assert.notInclude(welcome, token)
        for (const part of [`${url}/docs`, `${url}/metrics`, "DATABASE_URL", "keep it, or set ADMIN_TOKEN"])
          assert.include(welcome, part)
        assert.strictEqual(yield* status(url, token), 200)
        const ready = yield* Effect.provide(HttpClient.get(`${url}/readyz`), FetchHttpClient.layer)
        assert.strictEqual(ready.status, 200)
        const [member] = yield* Fleet.provision({
          url,
          token: Redacted.make(token),
          workspace: "dev",
          owner: "ada",
          count: 1,
          keys: ["cpu", "disk"],
          interval: (yield* settings()).flushInterval
        }).pipe(Effect.provide(FetchHttpClient.layer))
        const connection = yield* Agent.connect(url, People.showing(member!.token))
        const report = Agent.report("1", Agent.sample("cpu", "1"), Agent.sample("disk", "2"), Agent.sample("cpu", "3"))
        assert.deepStrictEqual(yield* Agent.exchange(connection, report), Agent.accepted("1"))

        yield* stop

        assert.strictEqual((yield* connection.closed).code, 1012)
        assert.strictEqual(yield* next, "stopping: no more connections, writing what is pending")
        assert.strictEqual(yield* next, "stopped: 2 pending entries written, none lost")
        assert.isAbove(logs.length, 10)
        assert.notInclude(logs.join("\n"), token)
        assert.deepStrictEqual(
          yield* SqlClient.SqlClient.use((sql) => sql`SELECT key, value FROM workspace_agent_metadata ORDER BY key`),
          [
            { key: "cpu", value: "3" },
            { key: "disk", value: "2" }
          ]
        )

        const second = yield* start()
        assert.isUndefined(second.token)
        assert.strictEqual(yield* status(second.url, token), 200)
        yield* second.stop

        const third = yield* start({ ADMIN_TOKEN: token })
        assert.isUndefined(third.token)
        assert.strictEqual(yield* status(third.url, token), 200)
        assert.notInclude(third.welcome, token)
      }).pipe(onNewDatabase)
  )

  it.live("names the variables when it cannot listen", () =>
    Effect.gen(function* () {
      const port = yield* portOf(Net.createServer())
      const { printing } = yield* Console.watched

      const error = yield* Effect.flip(printing(Effect.scoped(Serve.run(yield* settings({ PORT: String(port) })))))

      assert.include(error.message, `cannot listen on 127.0.0.1:${port} (`)
      assert.include(error.message, "EADDRINUSE")
      assert.include(error.message, "set HOST and PORT")
    }).pipe(onNewDatabase)
  )

  it.live("names the variable of a broker or a metadata store that is away, and no password [BK-05, RS-01]", () =>
    Effect.gen(function* () {
      for (const [name, url] of [
        ["PUBSUB_URL", "nats://me:hunter2@127.0.0.1:1"],
        ["PUBSUB_URL", "rediss://me:hunter2@127.0.0.1:1"],
        ["METADATA_STORE_URL", "redis://me:hunter2@127.0.0.1:1"]
      ] as const) {
        const { printing } = yield* Console.watched

        const error = yield* Effect.flip(printing(Effect.scoped(Serve.run(yield* settings({ [name]: url })))))

        assert.match(error.message, new RegExp(`^cannot reach the .+: start it, or set ${name} to`))
        assert.notInclude(inspect(error, { depth: null }), "hunter2")
      }
    }).pipe(onNewDatabase)
  )
})
