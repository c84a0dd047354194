import { NodeFileSystem } from "@effect/platform-node"
import { assert, inject, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Logger, Redacted } from "effect"
import * as Path from "node:path"
import { inspect } from "node:util"
import * as RedisMetadataStore from "../../src/storage/RedisMetadataStore.ts"
import * as Brokers from "../support/brokers.ts"
import { freePort } from "../support/freePort.ts"
import { emptyFolder } from "../support/folder.ts"
import { row } from "../support/metadata.ts"
import * as Postgres from "../support/Postgres.ts"
import * as RedisCluster from "../support/redisCluster.ts"
import * as Seed from "../support/seed.ts"

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
        assert.notInclude(error.message, "\n")
        return error
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

      it.effect("does not start where no Redis is, or none with or without TLS, and says what to change [RS-01]", () =>
        Effect.gen(function* () {
          const { others, plain, tls } = yield* Brokers.mistakenForRedis(yield* emptyFolder, inject("postgresUrl"))
          const errors = yield* Effect.forEach([tls, plain, ...others], (url) => refused(url), {
            concurrency: "unbounded"
          })

          for (const { message, reason } of errors) {
            assert.strictEqual(reason, "protocol", message)
            assert.match(
              message,
              /: check that it runs, and that METADATA_STORE_URL leads to Redis or Valkey, and begin METADATA_STORE_URL/
            )
          }
          assert.match(errors[0]!.message, /begin METADATA_STORE_URL with rediss:\/\/ if that server requires TLS$/)
          assert.match(errors[1]!.message, /begin METADATA_STORE_URL with redis:\/\/ if that server has no TLS$/)
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
          const [port, args] = [yield* freePort, ["--tls-cert-file", cert, "--tls-key-file", key]]
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
    }
  )
})
