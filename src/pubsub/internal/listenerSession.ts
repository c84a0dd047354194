/**
 * Runs one listening connection, from its first heartbeat to its loss.
 *
 * - The connection listens to a channel exactly while the channel has subscribers. LISTEN and UNLISTEN are sent in the
 *   order of the changes, so that a subscriber that joins a channel right after its last one left ends up listening.
 * - The connection must receive its own heartbeat: it publishes on its own channel, once before it is used and then at
 *   every `heartbeatInterval`. It is lost when it receives nothing for the sum of `heartbeatInterval` and
 *   `heartbeatTimeout`, whatever its socket reports. Closing the connection does not wait for the server.
 * - The connection is also lost when its server accepted writes at the first heartbeat and no longer does.
 * - When a living connection cannot listen to a channel, the subscriptions to that channel fail.
 */
import { PgConnection } from "@effect/sql-pg"
import { Duration, Effect, type Fiber, FiberSet, Latch, Metric, Queue, Schedule, type Scope } from "effect"
import * as Utf8 from "../../domain/Utf8.ts"
import * as PubSubMetrics from "../PubSubMetrics.ts"
import { broken, ListenerError, refusal } from "./listenerError.ts"
import type { Subscribers } from "./subscribers.ts"

export interface SessionOptions {
  readonly connection: PgConnection.Config
  readonly subscribers: Subscribers
  readonly heartbeatChannel: string
  readonly heartbeatInterval: Duration.Input
  readonly heartbeatTimeout: Duration.Input
}

export interface Session {
  /** Starts to listen to a channel that has subscribers, and stops for a channel without any. */
  readonly sync: (channel: string) => void
  /** Succeeds with the reason when the connection is lost. */
  readonly lost: Effect.Effect<ListenerError>
}

/** Opens a connection and waits for its first heartbeat. */
export const open = Effect.fnUntraced(function* (
  options: SessionOptions
): Effect.fn.Return<Session, ListenerError, Scope.Scope> {
  const { subscribers } = options
  // The fibers are made before the connection, so they end after it, when everything that waits for the server has
  // failed. Only these fibers send statements: the interruption of a statement waits for the server, which may hang.
  const fibers = yield* FiberSet.make<void, ListenerError>()
  const fork = yield* FiberSet.runtime(fibers)()
  const connection = yield* PgConnection.make(options.connection).pipe(
    Effect.flatMap((connection) => connection.pin),
    Effect.mapError(broken)
  )

  const heard = yield* Latch.make()
  fork(heartbeat(options, connection, heard))
  const awaitHeartbeat = Effect.raceFirst(FiberSet.join(fibers), Effect.andThen(heard.await, heard.close)).pipe(
    Effect.timeoutOrElse({
      duration: Duration.sum(
        Duration.fromInputUnsafe(options.heartbeatInterval),
        Duration.fromInputUnsafe(options.heartbeatTimeout)
      ),
      orElse: () => Effect.fail(new ListenerError({ reason: "silence" }))
    })
  )
  yield* awaitHeartbeat

  const receivers = new Map<string, Fiber.Fiber<unknown, unknown>>()
  return {
    sync: (channel) => {
      const receiver = receivers.get(channel)
      if (receiver === undefined) {
        if (subscribers.has(channel)) receivers.set(channel, fork(receive(connection, subscribers, channel)))
      } else if (!subscribers.has(channel)) {
        receivers.delete(channel)
        receiver.interruptUnsafe()
      }
    },
    lost: Effect.flip(Effect.forever(awaitHeartbeat))
  }
})

/** Publishes a heartbeat at every interval, and opens the latch when the heartbeat arrives. */
const heartbeat = Effect.fnUntraced(
  function* (
    { heartbeatChannel, heartbeatInterval }: SessionOptions,
    connection: PgConnection.PgConnection,
    heard: Latch.Latch
  ) {
    let wasWritable = false
    const beat = Effect.gen(function* () {
      const { rows } = yield* connection.query(
        "select pg_notify($1, ''), current_setting('transaction_read_only') = 'off' as writable",
        [heartbeatChannel]
      )
      const isWritable = rows[0]?.writable === true
      if (wasWritable && !isWritable) return yield* new ListenerError({ reason: "read only" })
      wasWritable = isWritable
    })
    const echoes = yield* connection.listen(heartbeatChannel)
    yield* beat.pipe(
      Effect.andThen(Queue.takeAll(echoes)),
      Effect.andThen(heard.open),
      Effect.repeat(Schedule.spaced(heartbeatInterval))
    )
  },
  Effect.scoped,
  Effect.mapError((error) => (error instanceof ListenerError ? error : broken(error)))
)

/** Listens to a channel and delivers its messages until interrupted. */
const receive = (connection: PgConnection.PgConnection, subscribers: Subscribers, channel: string) =>
  Effect.gen(function* () {
    // uninterruptible, because a cancellation could hit the next statement
    const notifications = yield* Effect.uninterruptible(connection.listen(channel))
    subscribers.setState(channel, "subscribed")
    return yield* Queue.takeAll(notifications).pipe(
      Effect.flatMap(Effect.forEach(({ payload }) => deliver(subscribers, channel, payload), { discard: true })),
      Effect.forever
    )
  }).pipe(
    Effect.scoped,
    // the next statement shows whether the channel or the connection failed
    Effect.catch((cause) =>
      Effect.andThen(
        connection.query("select 1"),
        Effect.sync(() => subscribers.setState(channel, refusal(channel, cause)))
      )
    ),
    Effect.mapError(broken)
  )

const deliver = (subscribers: Subscribers, channel: string, payload: string) => {
  const bytes = Utf8.byteLength(payload)
  const size = bytes < PubSubMetrics.colossalBytes ? PubSubMetrics.messages.normal : PubSubMetrics.messages.colossal
  return Metric.update(size, 1).pipe(
    Effect.andThen(Metric.update(PubSubMetrics.receivedBytes, bytes)),
    Effect.andThen(Effect.sync(() => subscribers.deliver(channel, payload)))
  )
}
