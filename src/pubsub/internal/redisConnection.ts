/**
 * Publishes and listens with a connection to Redis or Valkey, in version 3 of their protocol.
 *
 * - A connection is never repaired by its client, and nothing waits for a connection: the listener opens another one, so
 *   that no loss goes unnoticed and nothing is sent late.
 * - A publication succeeds when the server has replied.
 */
import { Cause, Effect, Queue, type Redacted } from "effect"
import { isIP } from "node:net"
import { BrokerError, errorsOf, isTlsFailure } from "./brokerError.ts"
import { type BrokerConnection, nameAtBroker } from "./brokerPubSub.ts"
import * as Settings from "./brokerSettings.ts"
import type { Driver } from "./listenerSession.ts"
import { load } from "./optionalPackage.ts"

export interface Options extends Settings.Options {
  /** `redis://user:password@host:port` or `rediss://…`. */
  readonly url: Redacted.Redacted
  /** A file with `user:password` or a password. It is read for each connection. */
  readonly credentialsFile?: string | undefined
}

interface Payload {
  readonly payload: string
}

type Queues = Set<Queue.Queue<Payload, BrokerError>>

type Broken = (cause: unknown) => BrokerError

export const driver = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Driver<BrokerConnection, BrokerError>, BrokerError> {
  const { prefix = Settings.defaultPrefix } = options
  const target = yield* Settings.parseTarget(options.url, ["redis", "rediss"])
  const toError = errorsOf(target.display, prefix)
  const broken = brokenBy(toError)
  const redis = yield* load("redis", "6", () => import("redis"))
  const { hostname, port } = new URL(`broker://${target.hosts[0]}`)
  const host = hostname.replace(/^\[|\]$/g, "")

  const connect = Effect.gen(function* () {
    const tls = yield* Settings.readTls(options.tls)
    const user =
      options.credentialsFile === undefined
        ? target
        : Settings.parseUser(yield* Settings.readCredentials(options.credentialsFile))
    const address = {
      host,
      port: Number(port || 6379),
      connectTimeout: Settings.connectTimeout,
      reconnectStrategy: false as const
    }
    const client = redis.createClient({
      RESP: 3,
      name: "metadata-batcher",
      disableOfflineQueue: true,
      disableClientInfo: true,
      maintNotifications: "disabled",
      ...(user.username === undefined ? {} : { username: user.username }),
      ...(user.password === undefined ? {} : { password: user.password }),
      socket:
        target.scheme === "rediss"
          ? { ...address, ...tls, tls: true, ...(isIP(host) === 0 ? { servername: host } : {}) }
          : address
    })
    const queues: Queues = new Set()
    client.on("error", (cause) => {
      for (const queue of queues) Queue.failCauseUnsafe(queue, Cause.fail(broken(cause)))
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => client.destroy()))
    yield* Effect.tryPromise({ try: () => client.connect(), catch: broken }).pipe(
      // a server that is stopped accepts connections and says nothing
      Effect.timeoutOrElse({
        duration: Settings.connectTimeout,
        orElse: () => Effect.fail(broken(new Error(`no response within ${Settings.connectTimeout / 1_000} seconds`)))
      })
    )
    return listening(client, queues, prefix, broken)
  })

  return { connect, broken, silent: () => toError("silence", undefined) }
})

/** The part of the client that is used. */
interface Client {
  readonly publish: (channel: string, payload: string) => Promise<unknown>
  readonly subscribe: (channel: string, listener: (payload: string) => void) => Promise<void>
  readonly unsubscribe: (channel: string, listener: (payload: string) => void) => Promise<void>
  readonly ping: () => Promise<unknown>
}

const listening = (client: Client, queues: Queues, prefix: string, broken: Broken): BrokerConnection => {
  const call = (command: () => Promise<unknown>) => Effect.asVoid(Effect.tryPromise({ try: command, catch: broken }))
  const publish = (channel: string, payload: string) =>
    call(() => client.publish(nameAtBroker(prefix, channel), payload))
  return {
    listen: Effect.fnUntraced(function* (channel) {
      const queue = yield* Queue.unbounded<Payload, BrokerError>()
      const name = nameAtBroker(prefix, channel)
      const listener = (payload: string) => void Queue.offerUnsafe(queue, { payload })
      yield* Effect.acquireRelease(
        Effect.sync(() => queues.add(queue)),
        () =>
          Effect.sync(() => {
            queues.delete(queue)
            // a connection that is closed has no subscriptions
            client.unsubscribe(name, listener).catch(() => {})
          })
      )
      yield* call(() => client.subscribe(name, listener))
      return queue
    }),
    beat: publish,
    check: call(() => client.ping()),
    publish
  }
}

const brokenBy =
  (toError: ReturnType<typeof errorsOf>): Broken =>
  (cause) => {
    if (cause instanceof BrokerError) return cause
    const message = cause instanceof Error ? cause.message : ""
    if (/^(WRONGPASS|NOAUTH)|invalid password|without any password/i.test(message)) return toError("credentials", cause)
    if (message.startsWith("NOPERM")) return toError("rights", cause)
    if (/^NOPROTO|unknown command.*HELLO/i.test(message)) return toError("version", cause)
    return toError(isTlsFailure(cause) ? "certificate" : "unreachable", cause)
  }
