/**
 * Publishes and listens with a connection to NATS.
 *
 * - A connection is never repaired by its client: the listener opens another one, so that no loss goes unnoticed.
 * - A publication succeeds when the server has replied to a ping that was sent after it.
 */
import type { credsAuthenticator, Msg, NatsConnection } from "@nats-io/transport-node"
import { Cause, Deferred, Effect, Queue, type Redacted, type Scope } from "effect"
import * as RemoteServer from "../../platform/RemoteServer.ts"
import { asBrokerError, BrokerError, errorsOf, role } from "./brokerError.ts"
import { type BrokerConnection, nameAtBroker } from "./brokerPubSub.ts"
import * as Settings from "./brokerSettings.ts"
import type { Driver } from "./listenerSession.ts"

export interface Options extends Settings.Options {
  /** `nats://user:password@host:port` or `tls://…`, with more hosts behind commas. A name without a password is a token. */
  readonly url: Redacted.Redacted
  /** A file with `user:password`, a token, or the credentials that NATS issues. It is read for each connection. */
  readonly credentialsFile?: string | undefined
}

/** The first version whose clients learn from an error which right is missing. */
const minVersion = [2, 2] as const

type Errors = ReturnType<typeof errorsOf>

export const driver = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Driver<BrokerConnection, BrokerError>, BrokerError> {
  const { prefix = Settings.defaultPrefix } = options
  const target = yield* asBrokerError(RemoteServer.parseTarget(role, options.url, ["nats", "tls"]))
  const toError = errorsOf(target, prefix)
  const nats = yield* asBrokerError(
    RemoteServer.load(role, "@nats-io/transport-node", "3", () => import("@nats-io/transport-node"))
  )
  let hasReplied = false
  const broken = (cause: unknown) =>
    // NATS speaks first, and says whether it has TLS
    (!hasReplied && isNamed(cause, "TimeoutError")) || /does not support 'tls'/.test(RemoteServer.reasonOf(cause))
      ? toError("protocol", cause)
      : brokenBy(toError)(cause)

  const connect = Effect.gen(function* () {
    const tls = yield* asBrokerError(RemoteServer.readTls(role, options.tls))
    const authentication = yield* authenticationOf(nats, options, target)
    // the client itself checks whether the certificate of an address is for localhost
    const checked = { ...tls, checkServerIdentity: RemoteServer.identityCheckOf(target.hosts.map(RemoteServer.hostOf)) }
    const connecting = () =>
      nats.connect({
        servers: [...target.hosts],
        name: "metadata-batcher",
        reconnect: false,
        timeout: RemoteServer.connectTimeout,
        ignoreClusterUpdates: true,
        ...authentication,
        ...(target.scheme === "tls" || Object.keys(tls).length > 0 ? { tls: checked } : {})
      })
    const connection = yield* Effect.acquireRelease(opened(connecting, broken), close, { interruptible: true })
    hasReplied = true
    return yield* listening(connection, prefix, toError)
  })

  return { connect, broken, silent: () => toError("silence", undefined) }
})

const authenticationOf = Effect.fnUntraced(function* (
  nats: { readonly credsAuthenticator: typeof credsAuthenticator },
  { credentialsFile }: Options,
  target: RemoteServer.User
) {
  if (credentialsFile === undefined) return asOptions(target)
  const text = yield* asBrokerError(RemoteServer.readCredentials(role, credentialsFile))
  if (!text.startsWith("-----BEGIN")) return asOptions(RemoteServer.parseUser(text))
  const authenticator = nats.credsAuthenticator(new TextEncoder().encode(text))
  yield* Effect.try({
    try: () => authenticator("any"),
    catch: (cause) =>
      new BrokerError({
        reason: "settings",
        detail: `the file of PUBSUB_CREDENTIALS_FILE has no credentials of NATS (${RemoteServer.reasonOf(cause)}): set PUBSUB_CREDENTIALS_FILE to a file that NATS has issued`
      })
  })
  return { authenticator }
})

/** A user without a password is a token, as in the addresses of NATS. */
const asOptions = ({ password, username }: RemoteServer.User) =>
  username !== undefined && password !== undefined
    ? { user: username, pass: password }
    : username !== undefined || password !== undefined
      ? { token: username ?? password! }
      : {}

/** Returns a connection; one that opens after an interruption is closed. */
const opened = (connecting: () => Promise<NatsConnection>, broken: (cause: unknown) => BrokerError) =>
  Effect.callback<NatsConnection, BrokerError>((resume) => {
    let isWanted = true
    connecting().then(
      (connection) => {
        resume(Effect.succeed(connection))
        if (!isWanted) void connection.close()
      },
      (cause) => resume(Effect.fail(broken(cause)))
    )
    return Effect.sync(() => {
      isWanted = false
    })
  })

const close = (connection: NatsConnection) => Effect.sync(() => void connection.close())

const listening = Effect.fnUntraced(function* (
  nats: NatsConnection,
  prefix: string,
  toError: Errors
): Effect.fn.Return<BrokerConnection, BrokerError, Scope.Scope> {
  const { version } = nats.info!
  if (isOlder(version)) return yield* toError("version", `its version is ${version}`)

  const lost = yield* Deferred.make<never, BrokerError>()
  const queues = new Set<Queue.Queue<{ readonly payload: string }, BrokerError>>()
  const fail = (error: BrokerError) => {
    Deferred.doneUnsafe(lost, Effect.fail(error))
    for (const queue of queues) Queue.failCauseUnsafe(queue, Cause.fail(error))
  }
  void nats.closed().then((cause) => fail(toError("unreachable", cause ?? new Error("the connection was closed"))))
  const onError = (cause: Error) => {
    if (isNamed(cause, "PermissionViolationError")) fail(toError("rights", cause))
  }
  void watchStatus(nats, onError)

  const flush = Effect.raceFirst(
    // an error that the server reported before its reply is passed on a little later
    Effect.andThen(Effect.tryPromise({ try: () => nats.flush(), catch: brokenBy(toError) }), Effect.yieldNow),
    Deferred.await(lost)
  )
  const send = (channel: string, payload: string) =>
    Effect.try({ try: () => nats.publish(nameAtBroker(prefix, channel), payload), catch: brokenBy(toError) })

  return {
    listen: Effect.fnUntraced(function* (channel) {
      const queue = yield* Queue.unbounded<{ readonly payload: string }, BrokerError>()
      yield* Effect.acquireRelease(
        Effect.try({
          try: () => {
            queues.add(queue)
            return nats.subscribe(nameAtBroker(prefix, channel), {
              callback: (cause, message: Msg) => {
                if (cause === null) Queue.offerUnsafe(queue, { payload: message.string() })
                else onError(cause)
              }
            })
          },
          catch: brokenBy(toError)
        }),
        (subscription) =>
          Effect.sync(() => {
            queues.delete(queue)
            subscription.unsubscribe()
          })
      )
      yield* flush
      return queue
    }),
    beat: send,
    check: flush,
    publish: (channel, payload) => Effect.andThen(send(channel, payload), flush)
  }
})

/** Calls `onError` for each error that the server reports. */
const watchStatus = async (nats: NatsConnection, onError: (cause: Error) => void) => {
  for await (const status of nats.status()) if (status.type === "error") onError(status.error)
}

const isOlder = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  return major < minVersion[0] || (major === minVersion[0] && minor < minVersion[1])
}

const isNamed = (cause: unknown, ...names: ReadonlyArray<string>): boolean =>
  cause instanceof Error && names.includes(cause.name)

const brokenBy = (toError: Errors) => (cause: unknown) => {
  if (cause instanceof BrokerError) return cause
  if (isNamed(cause, "AuthorizationError", "UserAuthenticationExpiredError")) return toError("credentials", cause)
  return toError(RemoteServer.isTlsFailure(cause) ? "certificate" : "unreachable", cause)
}
