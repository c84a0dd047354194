import { NodeFileSystem } from "@effect/platform-node"
import { assert, inject, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Queue, Redacted } from "effect"
import * as Path from "node:path"
import * as RedisConnection from "../../src/pubsub/internal/redisConnection.ts"
import * as RedisPubSub from "../../src/pubsub/RedisPubSub.ts"
import * as Proxy from "../faults/Proxy.ts"
import * as Brokers from "../support/brokers.ts"
import { freePort } from "../support/freePort.ts"
import { emptyFolder } from "../support/folder.ts"
import { brokerSuite, Server } from "./brokerSuite.ts"
import { promptly } from "./support.ts"

const at = (broker: Brokers.Broker, user: string, scheme = "redis") =>
  Redacted.make(`${scheme}://${user}@127.0.0.1:${broker.port}`)

Brokers.describeWith("redis", () => {
  layer(Layer.merge(Server.layer("redis"), NodeFileSystem.layer), { excludeTestServices: true })(
    "RedisPubSub",
    (it) => {
      const { refused } = brokerSuite(it, { make: RedisPubSub.make })

      it.effect("accepts a password, and a file with a user and a password [BK-05]", () =>
        Effect.gen(function* () {
          const folder = yield* emptyFolder
          const fs = yield* FileSystem.FileSystem
          const broker = yield* Brokers.start("redis", { args: ["--requirepass", "p:w"] })
          const file = Path.join(folder, "credentials")
          yield* fs.writeFileString(file, "default:p:w\n")

          yield* RedisPubSub.make({ url: at(broker, ":p%3Aw") })
          yield* RedisPubSub.make({ url: Redacted.make(broker.url), credentialsFile: file })
        })
      )

      it.effect("does not start with a wrong password, or without one [BK-05]", () =>
        Effect.gen(function* () {
          const broker = yield* Brokers.start("redis", { args: ["--requirepass", "another"] })

          const { message, reason } = yield* refused({ url: at(broker, ":hunter2") })
          const without = yield* refused({ url: Redacted.make(broker.url) })

          assert.deepStrictEqual([reason, without.reason], ["credentials", "credentials"])
          assert.match(message, /does not accept the user or the password \(.*\): correct them in PUBSUB_URL or/)
        })
      )

      it.effect("does not start without the rights to its channels, and needs no others [BK-05]", () =>
        Effect.gen(function* () {
          const rights = ["on", ">hunter2", "resetchannels", "&mine.*", "+publish", "+subscribe", "+unsubscribe"]
          const others = ["+hello", "+ping", "+client|setname"]
          const broker = yield* Brokers.start("redis", { args: ["--user", "me", ...rights, ...others] })

          yield* RedisPubSub.make({ url: at(broker, "me:hunter2"), prefix: "mine" })
          const { message, reason } = yield* refused({ url: at(broker, "me:hunter2"), prefix: "yours" })

          assert.strictEqual(reason, "rights")
          assert.match(message, /allow it every channel that begins with yours\. or set PUBSUB_PREFIX/)
        })
      )

      it.effect("checks the certificate of the broker, and shows its own [BK-05]", () =>
        Effect.gen(function* () {
          const tls = Brokers.certificates(yield* emptyFolder, "IP:127.0.0.1")
          const port = yield* freePort
          const files = ["--tls-cert-file", tls.cert, "--tls-key-file", tls.key, "--tls-ca-cert-file", tls.ca]
          yield* Brokers.start("redis", { args: ["--tls-port", `${port}`, ...files] })
          const url = Redacted.make(`rediss://127.0.0.1:${port}`)

          yield* RedisPubSub.make({ url, tls })
          const unknown = yield* refused({ url })
          const anonymous = yield* refused({ url, tls: { ca: tls.ca } })
          const misnamed = yield* refused({ url: Redacted.make(`rediss://localhost:${port}`), tls })

          assert.match(unknown.message, /^the TLS connection to the broker .* failed \(.+\): set PUBSUB_TLS_CA to/)
          assert.deepStrictEqual([anonymous.reason, misnamed.reason], ["certificate", "certificate"])
          assert.strictEqual(unknown.reason, "certificate")
        })
      )

      it.effect("does not start where no Redis is, or none with or without TLS, and says what to change [BK-05]", () =>
        Effect.gen(function* () {
          const { others, plain, tls } = yield* Brokers.mistakenForRedis(yield* emptyFolder, inject("postgresUrl"))
          const errors = yield* Effect.forEach([tls, plain, ...others], (url) => refused({ url: Redacted.make(url) }), {
            concurrency: "unbounded"
          })

          for (const { message, reason } of errors) {
            assert.strictEqual(reason, "protocol", message)
            assert.match(
              message,
              /^the broker rediss?:\/\/127\.0\.0\.1:\d+ does not reply in the protocol of Redis with/
            )
            assert.match(
              message,
              /^.*: check that it runs, and that PUBSUB_URL leads to Redis or Valkey, and begin PUBSUB_URL with redis/
            )
          }
          assert.match(errors[0]!.message, /begin PUBSUB_URL with rediss:\/\/ if that server requires TLS$/)
          assert.match(errors[1]!.message, /begin PUBSUB_URL with redis:\/\/ if that server has no TLS$/)
        })
      )

      it.effect("calls a broker unreachable that closes connections once it has replied [BK-05]", () =>
        Effect.gen(function* () {
          const proxy = yield* Proxy.make((yield* Server).url)
          const driver = yield* RedisConnection.driver({ url: Redacted.make(proxy.url) })
          yield* Effect.scoped(driver.connect)
          yield* proxy.leadTo(1)

          const { reason } = yield* Effect.flip(Effect.scoped(driver.connect))

          assert.strictEqual(reason, "unreachable")
        })
      )

      it.effect("says at once when the connection is cut over which it listens [BK-02]", () =>
        Effect.gen(function* () {
          const proxy = yield* Proxy.make((yield* Server).url)
          const driver = yield* RedisConnection.driver({ url: Redacted.make(proxy.url) })
          const { listen } = yield* driver.connect
          const queue = yield* listen("a")

          yield* proxy.cut

          assert.instanceOf(yield* promptly(Effect.flip(Queue.take(queue))), RedisPubSub.BrokerError)
        })
      )

      it.effect("does not start with several hosts, of which it could use one [BK-05]", () =>
        Effect.gen(function* () {
          const { message, reason } = yield* refused({ url: Redacted.make("redis://me:hunter2@a,b") })

          assert.strictEqual(reason, "settings")
          assert.strictEqual(
            message,
            "PUBSUB_URL names several hosts of Redis: name one, which may be any node of a cluster"
          )
        })
      )

      it.effect("does not start with a server that is too old [BK-05]", () =>
        Effect.gen(function* () {
          const old = yield* Brokers.ancientRedis
          const { message, reason } = yield* refused({ url: Redacted.make(`redis://127.0.0.1:${old}`) })

          assert.strictEqual(reason, "version")
          assert.match(message, /is too old \(.*HELLO.*\): run .*Redis 6/)
        })
      )
    }
  )
})
