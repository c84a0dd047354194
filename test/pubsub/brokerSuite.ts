/** The suite of a pubsub over a broker: failures of the broker and of the network, and the start. */
import { assert, type Vitest } from "@effect/vitest"
import { Context, Effect, Exit, FileSystem, Layer, Logger, Redacted, Scope } from "effect"
import * as Path from "node:path"
import { inspect } from "node:util"
import type { BrokerError } from "../../src/pubsub/NatsPubSub.ts"
import { PubSub, PubSubError, Resync } from "../../src/pubsub/PubSub.ts"
import * as PubSubMetrics from "../../src/pubsub/PubSubMetrics.ts"
import * as Proxy from "../faults/Proxy.ts"
import * as Brokers from "../support/brokers.ts"
import { emptyFolder } from "../support/folder.ts"
import { subscribe } from "../support/Subscription.ts"
import { isolated } from "../support/isolated.ts"
import { count, level, message, promptly } from "./support.ts"

export class Server extends Context.Service<Server, Brokers.Broker>()("test/pubsub/Server") {
  /** A broker for a suite, without logs: connections are lost here on purpose. */
  static readonly layer = (kind: Brokers.Kind) =>
    Layer.merge(Layer.effect(Server, Brokers.start(kind)), Logger.layer([]))
}

interface Options {
  readonly url: Redacted.Redacted
  readonly prefix?: string
  readonly credentialsFile?: string
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
  readonly heartbeatInterval?: "100 millis"
  readonly heartbeatTimeout?: "1 second"
  readonly publishTimeout?: "1 second"
}

export interface Backend {
  readonly make: (options: Options) => Effect.Effect<PubSub["Service"], BrokerError, Scope.Scope>
}

const on = (pubsub: PubSub["Service"]) => Effect.provideService(PubSub, pubsub)

const schemesOf: { readonly [K in Brokers.Kind]: ReadonlyArray<string> } = {
  nats: ["nats", "tls"],
  redis: ["redis", "rediss"]
}

const impatient = {
  heartbeatInterval: "100 millis",
  heartbeatTimeout: "1 second"
} as const

export const brokerSuite = (it: Vitest.MethodsNonLive<Server | FileSystem.FileSystem>, { make }: Backend) => {
  /** A pubsub through a proxy. */
  const proxied = Effect.fnUntraced(function* (options: Partial<Options> = {}) {
    const proxy = yield* Proxy.make((yield* Server).url)
    return { proxy, pubsub: yield* make({ url: Redacted.make(proxy.url), ...options }) }
  })

  it.effect("gives every subscriber a Resync after a lost connection, for what went by meanwhile [BK-02]", () =>
    Effect.gen(function* () {
      const { proxy, pubsub } = yield* proxied()
      const other = yield* make({ url: Redacted.make((yield* Server).url) })
      const subscriptions = [yield* on(pubsub)(subscribe("a")), yield* on(pubsub)(subscribe("b"))]
      for (const { next } of subscriptions) yield* next

      yield* proxy.cut
      yield* other.publish("a", "unheard")

      // one at the loss, one when the channel is listened to again
      for (const { take } of subscriptions) assert.deepStrictEqual(yield* take(2), [Resync(), Resync()])
      yield* other.publish("a", "heard")
      assert.deepStrictEqual(yield* subscriptions[0]!.nextMessage, message("heard"))
    })
  )

  it.effect(
    "fails publications at once while the broker is away, and serves new subscribers with a Resync [BK-02]",
    () =>
      Effect.gen(function* () {
        const { proxy, pubsub } = yield* proxied()
        yield* proxy.leadTo(1)
        const early = yield* on(pubsub)(subscribe("a"))
        yield* early.next
        yield* proxy.cut
        yield* early.next

        assert.instanceOf(yield* promptly(Effect.flip(pubsub.publish("a", "1"))), PubSubError)
        const late = yield* on(pubsub)(subscribe("b"))
        assert.deepStrictEqual(yield* promptly(late.next), Resync())
        assert.isTrue(yield* pubsub.reconnecting!)
        assert.strictEqual(yield* level(PubSubMetrics.connected), 0)
        assert.strictEqual(yield* count(PubSubMetrics.disconnections), 1)

        yield* proxy.leadTo((yield* Server).port)
        assert.deepStrictEqual(yield* late.next, Resync())
        yield* pubsub.publish("b", "2")
        assert.deepStrictEqual(yield* late.nextMessage, message("2"))
        assert.strictEqual(yield* level(PubSubMetrics.connected), 1)
      }).pipe(isolated)
  )

  it.effect("replaces a connection that hangs without a word [BK-03]", () =>
    Effect.gen(function* () {
      const { proxy, pubsub } = yield* proxied(impatient)
      const subscription = yield* on(pubsub)(subscribe("a"))
      yield* subscription.next

      yield* proxy.swallow

      assert.deepStrictEqual(yield* promptly(subscription.take(2)), [Resync(), Resync()])
      yield* pubsub.publish("a", "1")
      assert.deepStrictEqual(yield* subscription.nextMessage, message("1"))
    })
  )

  it.effect("closes at once although its connection hangs [BK-03]", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { proxy, pubsub } = yield* Scope.provide(proxied(), scope)
      const subscription = yield* on(pubsub)(subscribe("a"))
      yield* subscription.next
      yield* proxy.swallow

      yield* promptly(Scope.close(scope, Exit.void))

      assert.instanceOf(yield* Effect.flip(subscription.next), PubSubError)
    })
  )

  it.effect("gives the subscribers of all replicas a Resync after a publication that failed [BK-04]", () =>
    Effect.gen(function* () {
      const { proxy, pubsub } = yield* proxied({ publishTimeout: "1 second" })
      const other = yield* make({ url: Redacted.make((yield* Server).url) })
      const subscription = yield* on(other)(subscribe("a"))
      yield* subscription.next
      // the other replica has heard the first one
      yield* pubsub.publish("a", "1")
      assert.deepStrictEqual(yield* subscription.next, message("1"))

      yield* proxy.stalled(Effect.flip(pubsub.publish("b", "late")))

      assert.deepStrictEqual(yield* promptly(subscription.next), Resync())
    })
  )

  it.effect("separates services by their prefixes [BK-06]", () =>
    Effect.gen(function* () {
      const url = Redacted.make((yield* Server).url)
      const [one, two] = [yield* make({ url, prefix: "one" }), yield* make({ url, prefix: "two.three" })]
      const subscriptions = [yield* on(one)(subscribe("a")), yield* on(two)(subscribe("a"))]
      for (const { next } of subscriptions) yield* next

      yield* one.publish("a", "1")
      yield* two.publish("a", "2")

      assert.deepStrictEqual(yield* subscriptions[0]!.next, message("1"))
      assert.deepStrictEqual(yield* subscriptions[1]!.next, message("2"))
    })
  )

  /** The error of a start that fails; nothing of it shows the password. */
  const refused = Effect.fnUntraced(function* (options: Options) {
    const error = yield* Effect.flip(make(options))
    assert.notInclude(inspect(error, { depth: null, showHidden: true }), "hunter2")
    assert.notInclude(error.message, "\n")
    return { reason: error.reason, message: error.message }
  })

  it.effect("does not start without a broker, and says which setting to correct [BK-05]", () =>
    Effect.gen(function* () {
      for (const scheme of schemesOf[(yield* Server).kind]) {
        const { message, reason } = yield* refused({ url: Redacted.make(`${scheme}://me:hunter2@127.0.0.1:1`) })

        assert.strictEqual(reason, "unreachable")
        assert.match(
          message,
          /^cannot reach the broker \w+:\/\/127\.0\.0\.1:1 \(.*refused.*\): start it, or set PUBSUB_URL to/i
        )
      }
    })
  )

  it.effect("does not start with an address or a file that cannot be read [BK-05]", () =>
    Effect.gen(function* () {
      const { kind, url } = yield* Server
      for (const address of ["http://me:hunter2@host", `${kind}://me:hunter2@host:port`, `${kind}://me:hunter2@`]) {
        assert.match(
          (yield* refused({ url: Redacted.make(address) })).message,
          /^PUBSUB_URL must be an address such as/
        )
      }
      assert.match(
        (yield* refused({ url: Redacted.make(url), credentialsFile: "/nowhere" })).message,
        /^the file of PUBSUB_CREDENTIALS_FILE cannot be read \(ENOENT.*\): set PUBSUB_CREDENTIALS_FILE to a file/
      )
      for (const name of ["ca", "cert", "key"] as const) {
        assert.match(
          (yield* refused({ url: Redacted.make(url), tls: { [name]: "/nowhere" } })).message,
          /^the file of PUBSUB_TLS_(CA|CERT|KEY) cannot be read \(ENOENT.*\): set PUBSUB_TLS_\1 to a file/
        )
      }
    })
  )

  it.effect("does not start with files that are no certificates [BK-05]", () =>
    Effect.gen(function* () {
      const { kind, port } = yield* Server
      const folder = yield* emptyFolder
      const file = Path.join(folder, "text")
      yield* FileSystem.FileSystem.use((fs) => fs.writeFileString(file, "hunter2"))
      const url = Redacted.make(`${schemesOf[kind][1]}://127.0.0.1:${port}`)

      for (const [tls, expected] of [
        [
          { cert: file, key: file },
          /^the files of PUBSUB_TLS_CERT and PUBSUB_TLS_KEY cannot be used \(.*\): set them to/
        ],
        [{ ca: file }, /^the file of PUBSUB_TLS_CA cannot be used \(.*\): set it to certificates in PEM/]
      ] as const) {
        const { message, reason } = yield* refused({ url, tls })

        assert.strictEqual(reason, "certificate")
        assert.match(message, expected)
      }
    })
  )

  return { refused }
}
