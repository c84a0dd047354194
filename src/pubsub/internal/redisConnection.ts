/**
 * Publishes and listens with a connection to Redis or Valkey, in version 3 of their protocol.
 *
 * - A connection is never repaired by its client, and nothing waits for a connection: the listener opens another one, so
 *   that no loss goes unnoticed and nothing is sent late.
 * - A publication succeeds when the server has replied.
 */
import { Cause, Effect, Queue, type Redacted } from "effect"
import * as RedisServer from "../../platform/RedisServer.ts"
import { connectTimeout, noResponse, parseTarget } from "../../platform/RemoteServer.ts"
import { asBrokerError, BrokerError, errorsOf, role } from "./brokerError.ts"
import { type BrokerConnection, nameAtBroker } from "./brokerPubSub.ts"
import * as Settings from "./brokerSettings.ts"
import type { Driver } from "./listenerSession.ts"

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
  const target = yield* asBrokerError(parseTarget(role, options.url, RedisServer.schemes))
  const [host, ...others] = target.hosts
  if (others.length > 0) {
    return yield* new BrokerError({
      reason: "settings",
      detail: "PUBSUB_URL names several hosts of Redis: name one, which may be any node of a cluster"
    })
  }
  const toError = errorsOf(target, prefix)
  let hasReplied = false
  const broken: Broken = (cause) =>
    cause instanceof BrokerError
      ? cause
      : toError(RedisServer.reasonOf(cause, { hasReplied, scheme: target.scheme }), cause)
  const redis = yield* asBrokerError(RedisServer.load(role))

  const connect = Effect.gen(function* () {
    const access = yield* asBrokerError(RedisServer.readAccess(role, target, options))
    const client = redis.createClient(
      RedisServer.clientOptionsAt(host!, RedisServer.clientOptions(target.scheme, access))
    )
    const queues: Queues = new Set()
    client.on("error", (cause) => {
      for (const queue of queues) Queue.failCauseUnsafe(queue, Cause.fail(broken(cause)))
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => client.destroy()))
    yield* Effect.tryPromise({ try: () => client.connect(), catch: broken }).pipe(
      // a server that is stopped accepts connections and says nothing
      Effect.timeoutOrElse({
        duration: connectTimeout,
        orElse: () => Effect.fail(broken(noResponse()))
      })
    )
    hasReplied = true
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
