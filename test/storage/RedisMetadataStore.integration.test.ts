import { NodeFileSystem } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, DateTime, Effect, FileSystem, Layer, Logger, Metric, Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as Path from "node:path"
import { inspect } from "node:util"
import { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import * as MetadataStoreMetrics from "../../src/metadata/MetadataStoreMetrics.ts"
import * as RedisMetadataStore from "../../src/storage/RedisMetadataStore.ts"
import { metadataStoreSuite } from "../metadata/storeSuite.ts"
import { Stored, storeTimesSuite } from "../metadata/storeTimesSuite.ts"
import * as Proxy from "../faults/Proxy.ts"
import { isolated } from "../pubsub/support.ts"
import * as Brokers from "../support/brokers.ts"
import * as DeclaredAgents from "../support/declaredAgents.ts"
import { emptyFolder } from "../support/folder.ts"
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

      /** The error of a store that cannot start; it has no password. */
      const refused = Effect.fnUntraced(function* (url: string, options?: Partial<RedisMetadataStore.Options>) {
        const error = yield* Effect.flip(at(url, options))
        assert.notInclude(inspect(error, { depth: null }), "hunter2")
        return error
      })

      /** An agent, and a store behind a proxy. */
      const proxied = Effect.gen(function* () {
        const [a] = yield* Seed.agents(1, ["cpu"])
        const broker = yield* Brokers.start("redis")
        const proxy = yield* Proxy.make(broker.url)
        return { a, broker, proxy, store: yield* at(proxy.url) }
      })

      it.effect("does not start without its server, and names the setting [RS-01]", () =>
        Effect.gen(function* () {
          const { message, reason } = yield* refused("redis://me:hunter2@127.0.0.1:1")

          assert.strictEqual(reason, "unreachable")
          assert.match(
            message,
            /^cannot reach the metadata store redis:\/\/127.0.0.1:1 \(.*\): .*set METADATA_STORE_URL to/
          )
        })
      )

      it.effect("does not start with an address of another scheme [RS-01]", () =>
        Effect.gen(function* () {
          const { message, reason } = yield* refused("nats://127.0.0.1:1")

          assert.strictEqual(reason, "settings")
          assert.strictEqual(message, "METADATA_STORE_URL must be an address such as redis://user:password@host:port")
        })
      )

      it.effect("does not start with a wrong password, and takes the right one from a file [RS-01]", () =>
        Effect.gen(function* () {
          const broker = yield* Brokers.start("redis", { args: ["--requirepass", "another"] })
          const file = Path.join(yield* emptyFolder, "credentials")
          yield* FileSystem.FileSystem.use((fs) => fs.writeFileString(file, "default:another\n"))

          const { message, reason } = yield* refused(`redis://:hunter2@127.0.0.1:${broker.port}`)
          yield* at(broker.url, { credentialsFile: file })

          assert.strictEqual(reason, "credentials")
          assert.match(message, /correct them in METADATA_STORE_URL or METADATA_STORE_CREDENTIALS_FILE/)
        })
      )

      it.effect("does not start without the rights that it needs, and needs no others [RS-01]", () =>
        Effect.gen(function* () {
          const rights = ["+hello", "+client|setname", "+eval", "+evalsha", "+time", "+hmget", "+hset", "+del", "+scan"]
          const me = ["on", ">hunter2", "resetkeys", "~mine:*", ...rights]
          const broker = yield* Brokers.start("redis", { args: ["--user", "me", ...me] })
          const url = `redis://me:hunter2@127.0.0.1:${broker.port}`

          yield* at(url, { prefix: "mine" })
          const { message, reason } = yield* refused(url, { prefix: "yours" })

          assert.strictEqual(reason, "rights")
          assert.match(
            message,
            /allow it the commands .*, and the keys that begin with yours: or set METADATA_STORE_PREFIX/
          )
        })
      )

      it.effect("does not start without the right to ask a cluster for its nodes [RS-01]", () =>
        Effect.gen(function* () {
          const rights = ["+hello", "+client|setname", "+eval", "+evalsha", "+time", "+hmget", "+hset", "+del", "+scan"]
          const me = ["on", ">hunter2", "~*", ...rights]
          const { nodes } = yield* RedisCluster.start({ args: ["--user", "me", ...me] })

          const { message, reason } = yield* refused(`redis://me:hunter2@127.0.0.1:${nodes[0]!.port}`)

          assert.strictEqual(reason, "rights")
          assert.match(message, /allow it the commands .* cluster\|slots/)
        })
      )

      it.effect("does not start with a server that is too old [RS-01]", () =>
        Effect.gen(function* () {
          const { message, reason } = yield* refused(`redis://me:hunter2@127.0.0.1:${yield* Brokers.ancientRedis}`)

          assert.strictEqual(reason, "version")
          assert.match(message, /is too old \(.*HELLO.*\): run Redis 6 or Valkey, or later, at METADATA_STORE_URL/)
        })
      )

      it.effect("does not start with a database that it cannot have, or with files that cannot be read [RS-01]", () =>
        Effect.gen(function* () {
          const { url } = yield* Brokers.start("redis")
          const file = Path.join(yield* emptyFolder, "text")
          yield* FileSystem.FileSystem.use((fs) => fs.writeFileString(file, "hunter2"))

          const database = yield* refused(`${url}/values`)
          const absent = yield* refused(url, { tls: { ca: "/nowhere" } })
          const broken = yield* refused(url, { tls: { cert: file, key: file } })
          const { nodes } = yield* RedisCluster.start()
          const ofCluster = yield* refused(`redis://127.0.0.1:${nodes[0]!.port}/1`)
          const unknown = yield* refused(`${url}/99`)

          assert.strictEqual(broken.reason, "certificate")
          for (const { reason } of [database, absent, ofCluster, unknown]) assert.strictEqual(reason, "settings")
          assert.match(database.message, /^METADATA_STORE_URL must end with the number of a database, such as \/1/)
          assert.match(absent.message, /^the file of METADATA_STORE_TLS_CA cannot be read/)
          assert.match(
            broken.message,
            /^the files of METADATA_STORE_TLS_CERT and METADATA_STORE_TLS_KEY cannot be used/
          )
          assert.match(
            ofCluster.message,
            /has no database 1 \(.*\): correct or leave out the number in METADATA_STORE_URL/
          )
          assert.match(
            unknown.message,
            /has no database 99 \(.*\): correct or leave out the number in METADATA_STORE_URL/
          )
        })
      )

      it.effect("checks the certificate of its server, and shows its own [RS-01]", () =>
        Effect.gen(function* () {
          const tls = Brokers.certificates(yield* emptyFolder, "IP:127.0.0.1")
          const { ca, cert, key } = tls
          const [port, args] = [yield* Brokers.freePort, ["--tls-cert-file", cert, "--tls-key-file", key]]
          yield* Brokers.start("redis", {
            args: ["--tls-port", `${port}`, "--tls-ca-cert-file", ca, ...args]
          })
          const url = `rediss://me:hunter2@127.0.0.1:${port}`

          yield* at(`rediss://127.0.0.1:${port}`, { tls })
          const unknown = yield* refused(url)
          const anonymous = yield* refused(url, { tls: { ca } })
          const misnamed = yield* refused(`rediss://localhost:${port}`, { tls })

          for (const { reason } of [unknown, anonymous, misnamed]) assert.strictEqual(reason, "certificate")
          assert.match(unknown.message, /set METADATA_STORE_TLS_CA to the authority of its certificate/)
        })
      )

      it.effect("takes certificates of the nodes of a cluster for a host of the address, or for the node [RS-01]", () =>
        Effect.gen(function* () {
          const folder = yield* emptyFolder
          const named = Brokers.certificates(folder, "DNS:localhost")
          const addressed = Brokers.certificates(folder, "IP:127.0.0.1")
          const { nodes } = yield* RedisCluster.start({ certificates: [named, named, addressed] })
          const agents = yield* Seed.agents<number>(30, ["cpu"])

          // the cluster gives its nodes as 127.0.0.1
          const store = yield* at(`rediss://localhost:${nodes[0]!.tlsPort}`, { tls: { ca: named.ca } })
          const written = yield* store.updateBatch(agents.map((agentId) => row(agentId, "cpu", "1")))

          assert.sameMembers([...written], [...agents])
        })
      )

      it.effect("does not start on a replica, or with several hosts that are no cluster [RS-01]", () =>
        Effect.gen(function* () {
          const primary = yield* Brokers.start("redis")
          const replica = yield* Brokers.start("redis", { args: ["--replicaof", "127.0.0.1", `${primary.port}`] })

          const onReplica = yield* refused(replica.url)
          const onBoth = yield* refused(`redis://127.0.0.1:${primary.port},127.0.0.1:${replica.port}`)

          assert.match(onReplica.message, /is a replica, .*: set METADATA_STORE_URL to the address of its primary/)
          assert.match(onBoth.message, /is not a cluster: name one host in METADATA_STORE_URL/)
        })
      )

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
