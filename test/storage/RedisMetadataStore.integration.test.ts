import { NodeFileSystem } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, DateTime, Effect, Layer, Logger, Metric, Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import * as MetadataStoreMetrics from "../../src/metadata/MetadataStoreMetrics.ts"
import * as RedisMetadataStore from "../../src/storage/RedisMetadataStore.ts"
import { metadataStoreSuite } from "../metadata/storeSuite.ts"
import { Stored, storeTimesSuite } from "../metadata/storeTimesSuite.ts"
import * as Proxy from "../faults/Proxy.ts"
import { isolated } from "../support/isolated.ts"
import * as Brokers from "../support/brokers.ts"
import * as DeclaredAgents from "../support/declaredAgents.ts"
import { row, samples, updateBatch } from "../support/metadata.ts"
import * as Postgres from "../support/Postgres.ts"
import * as RedisCluster from "../support/redisCluster.ts"
import * as Seed from "../support/seed.ts"

/** The servers under test. */
class Servers extends Context.Service<Servers, { readonly url: string; readonly ports: ReadonlyArray<number> }>()(
  "test/storage/Servers"
) {}

const single = Layer.effect(
  Servers,
  Effect.map(Brokers.start("redis"), ({ port, url }) => ({ url, ports: [port] }))
)

const cluster = Layer.effect(
  Servers,
  Effect.map(RedisCluster.start(), ({ nodes, url }) => ({ url, ports: nodes.map(({ port }) => port) }))
)

const make = (options?: Partial<RedisMetadataStore.Options>) =>
  Servers.use(({ url }) => RedisMetadataStore.make({ url: Redacted.make(url), ...options }))

/** Sends a command to every node; those that have not got its key say so. */
const sendAll = (command: ReadonlyArray<string>) =>
  Servers.use(({ ports }) =>
    Effect.forEach(ports, (port) => Effect.ignoreCause(RedisCluster.send(port, command)), { discard: true })
  )

const hour = 3_600_000

const hashOf = (agentId: string) => `metadata_batcher:{${agentId}}`

const stored = Layer.effect(
  Stored,
  Effect.gen(function* () {
    const context = yield* Effect.context<Servers | SqlClient.SqlClient>()
    return {
      putAhead: Effect.fnUntraced(function* (agentId, key, value, aheadMillis) {
        const time = DateTime.toEpochMillis(yield* DateTime.now) + aheadMillis
        yield* sendAll(["HSET", hashOf(agentId), key, `${time} ${value.length} ${value}`])
      }, Effect.provide(context)),
      remove: (agentId, key) => Effect.provide(sendAll(["HDEL", hashOf(agentId), key]), context),
      another: Effect.orDie(Effect.provide(make(), context))
    }
  })
)

const environment = (servers: typeof single | typeof cluster) =>
  Layer.mergeAll(Layer.effect(MetadataStore, make()), DeclaredAgents.layer, stored).pipe(
    Layer.provideMerge([servers, Postgres.layer]),
    Layer.provideMerge([NodeFileSystem.layer, Logger.layer([])])
  )

Brokers.describeWith("redis", () => {
  for (const [title, servers] of [
    ["RedisMetadataStore on one server", single],
    ["RedisMetadataStore on a cluster of three", cluster]
  ] as const) {
    layer(environment(servers), { excludeTestServices: true })(title, (it) => {
      metadataStoreSuite(it)
      storeTimesSuite(it)

      it.effect("writes after the servers lost their scripts and their data [RS-02]", () =>
        Effect.gen(function* () {
          const [a] = yield* Seed.agents(1, ["cpu"])
          yield* updateBatch([row(a, "cpu", "1")])

          yield* sendAll(["SCRIPT", "FLUSH"])
          yield* sendAll(["FLUSHALL"])

          assert.strictEqual((yield* samples(a))["cpu"]?.[0], "")
          assert.deepStrictEqual(yield* updateBatch([row(a, "cpu", "1")]), [a])
          assert.strictEqual((yield* samples(a))["cpu"]?.[0], "1")
        })
      )

      it.effect(
        "stores values by age while the clock of the database is apart from its own by more than a minute [RS-07]",
        () =>
          Effect.gen(function* () {
            const [a] = yield* Seed.agents(1, ["cpu"])
            /** Writes a sample of this age by a clock that is apart by so much. */
            const write = Effect.fnUntraced(function* (value: string, apart: number, age: number) {
              const present = DateTime.toEpochMillis(yield* DateTime.now) + apart
              yield* Effect.andThen(
                TestClock.setTime(present),
                updateBatch([row(a, "cpu", value, DateTime.makeUnsafe(present - age))])
              ).pipe(Effect.provide(TestClock.layer()))
            })
            yield* write("1", 0, 5_000)

            for (const [value, apart] of [
              ["an hour behind", -hour],
              ["as it was", 0],
              ["an hour ahead", hour]
            ] as const) {
              yield* write(value, apart, 0)
              yield* write("older", apart, 10_000)
              assert.strictEqual((yield* samples(a))["cpu"]?.[0], value)
            }
          })
      )

      it.effect("writes more rows of one agent than one call takes", () =>
        Effect.gen(function* () {
          const keys = Array.from({ length: 2_500 }, (_, index) => `key ${index}`)
          const [a] = yield* Seed.agents(1, keys)

          assert.deepStrictEqual(yield* updateBatch(keys.map((key) => row(a, key, key))), [a])

          const found = yield* samples(a)
          assert.deepStrictEqual(
            keys.filter((key) => found[key]?.[0] !== key),
            []
          )
        })
      )
    })
  }
})

Brokers.describeWith("redis", () => {
  layer(Layer.mergeAll(Postgres.layer, NodeFileSystem.layer, Logger.layer([])), { excludeTestServices: true })(
    "RedisMetadataStore",
    (it) => {
      const at = (url: string, options: Partial<RedisMetadataStore.Options> = {}) =>
        RedisMetadataStore.make({ url: Redacted.make(url), ...options })

      /** An agent, and a store behind a proxy. */
      const proxied = Effect.gen(function* () {
        const [a] = yield* Seed.agents(1, ["cpu"])
        const broker = yield* Brokers.start("redis")
        const proxy = yield* Proxy.make(broker.url)
        return { a, broker, proxy, store: yield* at(proxy.url) }
      })

      it.effect("fails while its server is away, tells so, and works once it is back [RS-03]", () =>
        Effect.gen(function* () {
          const { a, broker, proxy, store } = yield* proxied
          yield* store.updateBatch([row(a, "cpu", "1")])
          const problem = (is: boolean) =>
            Effect.repeat(store.problem!, {
              until: (found) => (found === undefined) !== is,
              schedule: Schedule.spaced("50 millis")
            })
          const away = Metric.value(MetadataStoreMetrics.nodesAway)

          yield* Effect.andThen(proxy.leadTo(1), proxy.cut)
          const error = yield* Effect.flip(store.updateBatch([row(a, "cpu", "2")]))
          assert.strictEqual(error.reason, "unavailable")
          assert.strictEqual(yield* problem(true), "the metadata store does not respond")
          assert.strictEqual((yield* away).value, 1)

          yield* proxy.leadTo(broker.port)
          yield* problem(false)
          assert.deepStrictEqual(yield* store.updateBatch([row(a, "cpu", "2")]), [a])
          assert.strictEqual((yield* away).value, 0)
        }).pipe(isolated)
      )

      it.effect("replaces a connection that hangs without a word [RS-03]", () =>
        Effect.gen(function* () {
          const { a, proxy, store } = yield* proxied

          yield* proxy.swallow
          yield* Effect.flip(store.updateBatch([row(a, "cpu", "1")]))

          const written = yield* Effect.retry(store.updateBatch([row(a, "cpu", "1")]), Schedule.spaced("50 millis"))
          assert.deepStrictEqual(written, [a])
        })
      )

      it.effect("names the agents that a part of a cluster has written although another part is away [RS-04]", () =>
        Effect.gen(function* () {
          const { nodes, url } = yield* RedisCluster.start({ args: ["--cluster-require-full-coverage", "no"] })
          const agents = yield* Seed.agents<number>(30, ["cpu"])
          const store = yield* at(url)
          yield* store.updateBatch(agents.map((agentId) => row(agentId, "cpu", "1")))

          yield* nodes[0]!.kill
          const error = yield* Effect.flip(store.updateBatch(agents.map((agentId) => row(agentId, "cpu", "2"))))

          const { changed = [] } = error
          assert.isAbove(changed.length, 0)
          assert.isBelow(changed.length, agents.length)
          for (const agentId of changed) assert.strictEqual((yield* store.read(agentId))[0]?.value, "2")
        })
      )

      it.effect("deletes the values of agents that Postgres no longer has [RS-05]", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a, b] = yield* Seed.agents(2, ["cpu"])
          const broker = yield* Brokers.start("redis")
          const store = yield* at(broker.url)
          yield* store.updateBatch([row(a, "cpu", "1"), row(b, "cpu", "1")])
          yield* sql`DELETE FROM workspace_agents WHERE id = ${a}`

          yield* at(broker.url)

          const keys = RedisCluster.send(broker.port, ["KEYS", "*"])
          assert.deepStrictEqual(
            yield* Effect.repeat(keys, {
              until: (found) => Array.isArray(found) && found.length === 1,
              schedule: Schedule.spaced("20 millis")
            }),
            [hashOf(b)]
          )
        })
      )
    }
  )
})
