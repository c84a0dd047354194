/** The service as a process, with real agents, real watchers and a real database. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import * as Client from "../support/client.ts"
import * as Postgres from "../support/Postgres.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

const adminToken = "an administrator's token"

/** A service on the suite's database, in which nobody is yet. */
const serve = Effect.fnUntraced(function* (env: Readonly<Record<string, string>> = {}) {
  const { url } = yield* Postgres.TestDatabase
  yield* PgClient.PgClient.use((sql) => sql`TRUNCATE users CASCADE`)
  const service = yield* ServiceProcess.start(["serve", "--port", "0"], {
    DATABASE_URL: Redacted.value(url),
    ADMIN_TOKEN: adminToken,
    METADATA_FLUSH_INTERVAL: "250 millis",
    ...env
  })
  const [, address] = yield* service.line(/^ready at (\S+)/)
  return { service, url: address! }
})

const values = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ key: string; value: string }>`
    SELECT key, value FROM workspace_agent_metadata ORDER BY workspace_agent_id, key`
  return rows.map(({ key, value }) => `${key}=${value}`)
})

layer(Postgres.layer, { excludeTestServices: true })("the service on a database of its own", (it) => {
  it.effect("writes all that was accepted when it gets SIGTERM, says so and exits with 0 [MB-39, MB-44]", () =>
    Effect.gen(function* () {
      const { service, url } = yield* serve({ METADATA_FLUSH_INTERVAL: "1 hours" })
      const agents = yield* Client.agents(url, adminToken, 3, ["cpu", "disk"])
      const watcher = yield* Client.watch(url, adminToken, agents[0]!.id)
      assert.deepStrictEqual(yield* watcher.next, { cpu: "", disk: "" })

      for (const { name, token } of agents) {
        const report = yield* Client.agent(url, token)
        yield* report({ cpu: "an older value", undeclared: "is ignored" })
        yield* report({ cpu: name, disk: "70 %" })
      }
      assert.isFalse((yield* values).includes("disk=70 %"))
      yield* service.kill("SIGTERM")

      assert.strictEqual(yield* service.exit, 0)
      assert.include(service.output(), "stopped: 6 pending entries written, none lost")
      assert.deepStrictEqual(
        new Set(yield* values),
        new Set(["cpu=agent-0", "cpu=agent-1", "cpu=agent-2", "disk=70 %"])
      )
    })
  )

  it.effect("brings watchers up to date after its listening connection was killed under load [WA-21, PS-06]", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { service, url } = yield* serve()
      const agents = yield* Client.agents(url, adminToken, 4, ["cpu"])
      const watchers = yield* Effect.forEach(agents, ({ id }) => Client.watch(url, adminToken, id))
      const reports = yield* Effect.forEach(agents, ({ token }) => Client.agent(url, token))
      const reportAll = (value: string) =>
        Effect.forEach(reports, (report) => report({ cpu: value }), { discard: true })
      yield* reportAll("before")
      yield* Effect.forEach(watchers, ({ until }) => until("cpu", "before"))

      const load = yield* Effect.forkChild(Effect.forever(reportAll("under load")))
      const killed = yield* sql<{ pid: number }>`
        SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE '%listener'`
      yield* service.line(/lost the listening connection/)
      yield* Fiber.interrupt(load)
      yield* reportAll("after")

      yield* Effect.forEach(watchers, ({ until }) => until("cpu", "after"))
      assert.strictEqual(killed.length, 1)
      yield* service.kill("SIGTERM")
      assert.strictEqual(yield* service.exit, 0)
    })
  )

  it.effect("ends with 1 and a line that names what to change when it cannot listen", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.TestDatabase
      const database = new URL(Redacted.value(url))
      const service = yield* ServiceProcess.start(["serve", "--port", database.port], { DATABASE_URL: database.href })

      assert.strictEqual(yield* service.exit, 1)
      assert.include(service.output(), `cannot listen on 127.0.0.1:${database.port}`)
      assert.include(service.output(), "set HOST and PORT")
      assert.notInclude(service.output(), database.password)
    })
  )

  it.effect("ends with 1 and one sentence when its broker or its metadata store is away [BK-05, RS-01]", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.TestDatabase
      const all = [
        ["PUBSUB_URL", "nats"],
        ["PUBSUB_URL", "redis"],
        ["METADATA_STORE_URL", "redis"]
      ] as const
      for (const [name, scheme] of all) {
        const service = yield* ServiceProcess.start(["serve"], {
          PORT: "0",
          DATABASE_URL: Redacted.value(url),
          [name]: `${scheme}://me:hunter2@127.0.0.1:1`
        })

        assert.strictEqual(yield* service.exit, 1)
        assert.match(
          service.output(),
          new RegExp(`cannot reach the .* ${scheme}://127.0.0.1:1 .*: start it, or set ${name} to`)
        )
        assert.notInclude(service.output(), "hunter2")
      }
    })
  )

  it.effect("migrates on its own, and has nothing to do the second time", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.database("template0")
      const migrate = Effect.gen(function* () {
        const { exit, output } = yield* ServiceProcess.start(["migrate"], { DATABASE_URL: Redacted.value(url) })
        assert.strictEqual(yield* exit, 0)
        return output()
      })

      const first = yield* migrate
      assert.match(first, /^migrated: identities, workspaces, .*$/m)
      assert.notInclude(first, "up to date")
      assert.include(yield* migrate, "the schema is up to date")
    })
  )
})
