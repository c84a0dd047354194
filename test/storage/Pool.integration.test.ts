/** Connections of the pool that are dead, or that lead to the wrong server. */
import { assert, layer } from "@effect/vitest"
import { Array, DateTime, Effect, Fiber, Layer, Logger, Option, Queue, Redacted, Schedule, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as Crypto from "node:crypto"
import { Readiness } from "../../src/operations/Readiness.ts"
import { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import * as PgPubSub from "../../src/pubsub/PgPubSub.ts"
import { PubSub } from "../../src/pubsub/PubSub.ts"
import { AccessStore } from "../../src/access/AccessStore.ts"
import { AgentSocketStore } from "../../src/agentapi/ports/AgentSocketStore.ts"
import { ManifestStore } from "../../src/agentapi/ports/ManifestStore.ts"
import { permitsOf } from "../../src/storage/internal/connection/poolShares.ts"
import { storeOperation } from "../../src/storage/internal/storeOperation.ts"
import * as PgAccessStore from "../../src/storage/PgAccessStore.ts"
import * as PgAgentSocketStore from "../../src/storage/PgAgentSocketStore.ts"
import * as PgManifestStore from "../../src/storage/PgManifestStore.ts"
import * as PgUsageStore from "../../src/storage/PgUsageStore.ts"
import { UsageStore } from "../../src/usage/UsageStore.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import * as PgReadiness from "../../src/storage/operations/PgReadiness.ts"
import * as PostgresClient from "../../src/storage/Postgres.ts"
import * as PoolMetrics from "../../src/telemetry/PoolMetrics.ts"
import * as Proxy from "../faults/Proxy.ts"
import { dataFolder } from "../support/folder.ts"
import { lockedBefore, whileLocked } from "../support/locked.ts"
import { row } from "../support/metadata.ts"
import * as PgProxy from "../support/PgProxy.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import * as Server from "../support/server.ts"
import { subscribe } from "../support/Subscription.ts"

const environment = PgProxy.layer.pipe(
  Layer.provideMerge(Postgres.layer),
  Layer.provideMerge(Reactivity.layer),
  Layer.provideMerge(Logger.layer([]))
)

/** Opens so many connections of a pool, and none more: as many statements wait at the same time. */
const openAll = Effect.fnUntraced(function* (pool: SqlClient.SqlClient, size: number) {
  const sql = yield* SqlClient.SqlClient
  const waiting = sql`
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0`
  const begun = yield* whileLocked("workspace_agents")(
    Effect.gen(function* () {
      const statements = Array.makeBy(size, () => pool`SELECT FROM workspace_agents`)
      const fiber = yield* Effect.forkChild(Effect.all(statements, { concurrency: "unbounded" }))
      yield* Effect.repeat(waiting, { until: ({ length }) => length === size })
      return fiber
    })
  )
  yield* Fiber.join(begun)
})

layer(environment)("the pool after a network swallowed its connections", (it) => {
  it.effect.each([1, 7, 20, 60])("works again within one timeout and 2 s, with a size of %i [FT-32]", (size) =>
    Effect.gen(function* () {
      const proxy = yield* PgProxy.PgProxy
      const agents = yield* Seed.agents(20, ["cpu"])
      const sql = yield* PostgresClient.make({ url: proxy.url, maxConnections: size })
      const store = yield* PgMetadataStore.make({ writeTimeout: "3 seconds", readTimeout: "1 hour" }).pipe(
        Effect.provideService(SqlClient.SqlClient, sql)
      )
      // of which all but those of the first write and of some reads stay idle
      yield* openAll(sql, size)
      yield* proxy.freeze
      const read = (agent: (typeof agents)[number]) => Effect.retry(store.read(agent), { times: 3 })

      const writing = yield* store
        .updateBatch(agents.map((agent) => row(agent, "cpu", "1")))
        .pipe(Effect.retry({ times: 3 }), Effect.forkChild)
      yield* Queue.take(proxy.swallowed)
      const reading = yield* Effect.forkChild(Effect.forEach(agents, read, { concurrency: "unbounded" }))
      yield* Effect.replicateEffect(
        Queue.take(proxy.swallowed),
        Math.min(permitsOf(size).readers, size - 1, agents.length)
      )
      yield* TestClock.adjust("3 seconds")
      yield* TestClock.adjust("2 seconds")

      // by the clock of the test it has to be right by now; what still waits for a dead connection does so for ever
      const both = Effect.all([Fiber.join(writing), Fiber.join(reading)])
      const ended = yield* TestClock.withLive(Effect.timeoutOption(both, "15 seconds"))
      // a pool that waits for them would hold up the end of the test
      yield* proxy.down(Effect.void)
      const rows = Option.map(ended, (results) => results.map(({ length }) => length))
      assert.deepStrictEqual(rows, Option.some([agents.length, agents.length]))
    })
  )
})

layer(environment, { excludeTestServices: true })("the pool", (it) => {
  it.effect("serves each share while the operations of all others hang, within its size [FT-40]", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.TestDatabase
      const [agent] = yield* Seed.agents(1, ["cpu"])
      const sql = yield* PostgresClient.make({ url, maxConnections: 7 })
      const hang = (share: PoolMetrics.Share) => storeOperation(sql, share, "hang")(sql`SELECT pg_sleep(30)`)
      const run = yield* Effect.provideService(PostgresClient.runPublications, SqlClient.SqlClient, sql)
      const served = yield* Effect.gen(function* () {
        const metadata = yield* MetadataStore
        const access = yield* AccessStore
        const sockets = yield* AgentSocketStore
        const manifests = yield* ManifestStore
        const usage = yield* UsageStore
        return {
          logins: access.users([new Uint8Array(32)]),
          heartbeats: sockets.recordHeartbeats([]),
          announcements: run(sql`SELECT pg_notify('a', '1')`, "10 seconds"),
          writes: metadata.updateBatch([row(agent, "cpu", "1")]),
          calls: manifests.agent(agent),
          readers: metadata.read(agent),
          background: usage.updateLastUsedAt([], yield* DateTime.now)
        } satisfies Record<PoolMetrics.Share, unknown>
      }).pipe(
        Effect.provide([
          PgMetadataStore.layer(),
          PgAccessStore.layer,
          PgAgentSocketStore.layer,
          PgManifestStore.layer,
          PgUsageStore.layer
        ]),
        Effect.provideService(SqlClient.SqlClient, sql)
      )
      for (const share of PoolMetrics.shares) {
        const hanging = PoolMetrics.shares.filter((other) => other !== share)
        const ended = yield* Effect.raceFirst(
          Effect.forEach([...hanging, ...hanging, ...hanging], hang, { concurrency: "unbounded" }),
          Effect.delay(Effect.as(served[share], "served"), "200 millis")
        )
        assert.strictEqual(ended, "served", share)
        const [found] = yield* sql<{ count: number }>`
          SELECT count(*)::integer AS count FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'metadata-batcher'`
        assert.isAtMost(found!.count, 7)
      }
    })
  )

  it.effect("serves every share over one connection [FT-40]", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.TestDatabase
      const sql = yield* PostgresClient.make({ url, maxConnections: 1, prepare: false })
      const done = yield* Effect.forEach(
        PoolMetrics.shares.flatMap((share) => [share, share, share]),
        (share) => storeOperation(sql, share, "work")(sql.withTransaction(sql`SELECT 1`)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(done.length, 21)
    })
  )

  it.effect("records the use of a token within the share of logins [FT-40]", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.TestDatabase
      const { ownerId } = yield* Seed.workspace
      const digest = Crypto.randomBytes(32)
      const [stored] = yield* SqlClient.SqlClient.use(
        (own) => own<{ id: string }>`
          INSERT INTO api_tokens (id, user_id, name, hash) VALUES (gen_random_uuid(), ${ownerId}, 'test', ${digest})
          RETURNING id`
      )
      const sql = yield* PostgresClient.make({ url, maxConnections: 2 })
      const ended: Array<string> = []
      const login = AccessStore.use((store) => store.users([digest])).pipe(
        Effect.provide(PgAccessStore.layer),
        Effect.provideService(SqlClient.SqlClient, sql),
        Effect.andThen(Effect.sync(() => ended.push("login")))
      )
      const another = storeOperation(
        sql,
        "logins",
        "work"
      )(sql`SELECT 1`).pipe(Effect.andThen(Effect.sync(() => ended.push("another"))))
      // both connections are open
      yield* Effect.all([sql`SELECT pg_sleep(0.1)`, sql`SELECT pg_sleep(0.1)`], { concurrency: "unbounded" })

      yield* lockedBefore("api_tokens", stored!.id, [], Effect.all([login, another], { concurrency: "unbounded" }))

      assert.deepStrictEqual(ended, ["login", "another"])
    })
  )

  it.effect("replaces a connection of a certain age, so that it follows a name to another server [FT-12]", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.TestDatabase
      const sql = yield* PostgresClient.make({ url, maxConnections: 1, connectionTTL: "300 millis" })
      const pid = Effect.map(sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`, ([row]) => row!.pid)
      const first = yield* pid

      yield* Effect.repeat(pid, { until: (pid) => pid !== first, schedule: Schedule.spaced("20 millis") })
    })
  )

  it.effect("keeps its idle connections when a statement fails for another reason", () =>
    Effect.gen(function* () {
      const { url } = yield* Postgres.TestDatabase
      const [agent] = yield* Seed.agents(1, ["cpu"])
      const sql = yield* PostgresClient.make({ url, maxConnections: 3 })
      const store = yield* Effect.provideService(PgMetadataStore.make(), SqlClient.SqlClient, sql)
      // more statements at once than it takes to use every connection
      const pids = Effect.map(
        Effect.all(
          Array.makeBy(3, () => sql<{ pid: number }>`SELECT pg_backend_pid() AS pid, pg_sleep(0.3)`),
          { concurrency: "unbounded" }
        ),
        (rows) => new Set(rows.map(([row]) => row!.pid))
      )
      const before = yield* pids

      yield* Effect.flip(store.updateBatch([row(agent, "cpu", "a\0b")]))

      const after = yield* pids
      assert.deepStrictEqual(
        [...before].filter((pid) => !after.has(pid)),
        []
      )
    })
  )
})

const ownServer = Effect.flatMap(dataFolder, (dataDir) => EmbeddedPostgres.make({ dataDir, settings: Server.settings }))

layer(Layer.merge(Server.environment, Layer.merge(Logger.layer([]), Reactivity.layer)), { excludeTestServices: true })(
  "a server that no longer accepts writes",
  (it) => {
    it.effect("is left by the pool and by the listener, and is not ready [FT-12]", () =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([ownServer, ownServer], { concurrency: 2 })
        const proxy = yield* Proxy.make(Redacted.value(first.url))
        // both have the data of one, and so its password
        const urlAt = (port: number) =>
          Redacted.make(Object.assign(new URL(Redacted.value(first.url)), { port: String(port) }).href)
        const administer = (server: EmbeddedPostgres.Server, statement: string) =>
          PostgresClient.make({ url: server.url, maxConnections: 1 }).pipe(
            Effect.flatMap((sql) => sql.unsafe(statement)),
            Effect.scoped
          )
        for (const server of [first, second]) {
          yield* Effect.provide(PostgresClient.migrate, Layer.fresh(PostgresClient.layer({ url: urlAt(server.port) })))
        }
        const [agent] = yield* Effect.provide(
          Seed.agents(1, ["cpu"]),
          Layer.fresh(PostgresClient.layer({ url: urlAt(second.port) }))
        )
        const services = Layer.mergeAll(
          PgMetadataStore.layer(),
          PgReadiness.layer,
          PgPubSub.layer({ heartbeatInterval: "1 second" })
        ).pipe(Layer.provideMerge(PostgresClient.layer({ url: Redacted.make(proxy.url) })), Layer.fresh)

        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { problem } = yield* Readiness
          const subscription = yield* subscribe("a")
          yield* subscription.next
          assert.isUndefined(yield* problem)
          yield* administer(first, "ALTER SYSTEM SET default_transaction_read_only = on")
          yield* administer(first, "SELECT pg_reload_conf()")
          yield* problem.pipe(
            Effect.repeat({
              until: (text) => text === "the database does not accept writes",
              schedule: Schedule.spaced("20 millis")
            })
          )

          yield* proxy.leadTo(second.port)
          const write = MetadataStore.use((store) => store.updateBatch([row(agent, "cpu", "1")]))
          // rejected by the first server, which the pool leaves
          const changed = yield* Effect.retry(write, Schedule.spaced("100 millis"))
          assert.deepStrictEqual(changed, [agent])

          assert.isUndefined(yield* problem)
          // the listener has moved as well: it hears what is published on the second server
          yield* Effect.forkScoped(
            Effect.repeat(
              PubSub.use((pubsub) => pubsub.publish("a", "heard")),
              Schedule.spaced("200 millis")
            )
          )
          yield* Stream.fromEffectRepeat(subscription.next).pipe(
            Stream.filter(({ _tag }) => _tag === "Message"),
            Stream.runHead
          )
          const [address] = yield* sql<{ port: number }>`SELECT inet_server_port() AS port`
          assert.strictEqual(address!.port, second.port)
        }).pipe(Effect.provide(services))
      })
    )
  }
)
