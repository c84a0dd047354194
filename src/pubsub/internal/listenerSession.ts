/**
 * Runs one listening connection, from its first heartbeat to its loss.
 *
 * - The connection listens to a channel exactly while the channel has subscribers. Subscriptions begin and end in the
 *   order of the changes, so that a subscriber that joins a channel right after its last one left ends up listening.
 * - The connection must receive its own heartbeat, once before it is used and then at every `heartbeatInterval`. It is
 *   lost when it receives nothing for the sum of `heartbeatInterval` and `heartbeatTimeout`, whatever its socket reports.
 *   Closing the connection does not wait for the server.
 * - When a living connection cannot listen to a channel, the subscriptions to that channel fail.
 */
import { Duration, Effect, type Fiber, FiberSet, Latch, Metric, Queue, type Scope } from "effect"
import * as Utf8 from "../../domain/Utf8.ts"
import * as PubSubMetrics from "../PubSubMetrics.ts"
import { refusal } from "./refusal.ts"
import type { Subscribers } from "./subscribers.ts"

/** A connection to a server that distributes messages. */
export interface Connection {
  /**
   * Listens to a channel until the scope closes. Returns the messages when the server has confirmed the subscription.
   * The queue fails when the connection breaks.
   */
  readonly listen: (
    channel: string
  ) => Effect.Effect<Queue.Dequeue<{ readonly payload: string }, unknown>, unknown, Scope.Scope>
  /** Publishes a heartbeat over this connection. */
  readonly beat: (channel: string, payload: string) => Effect.Effect<void, unknown>
  /** Fails when the connection is broken. */
  readonly check: Effect.Effect<void, unknown>
}

/** The way to one kind of server. */
export interface Driver<C extends Connection, E> {
  /** Opens a connection until the scope closes. */
  readonly connect: Effect.Effect<C, E, Scope.Scope>
  /** Returns the error of a connection that broke for this reason; the reason may be such an error itself. */
  readonly broken: (cause: unknown) => E
  /** Returns the error of a connection that does not receive its own heartbeat. */
  readonly silent: () => E
}

export interface Heartbeats {
  readonly channel: string
  /** Returns the payload of the next heartbeat. */
  readonly next: () => string
  /** Takes a heartbeat that arrived. Returns whether this process sent it, and whether messages may be missing. */
  readonly receive: (payload: string) => { readonly isOwn: boolean; readonly isGap: boolean }
}

export interface SessionOptions<C extends Connection, E> {
  readonly driver: Driver<C, E>
  readonly subscribers: Subscribers
  readonly heartbeats: Heartbeats
  readonly heartbeatInterval: Duration.Input
  readonly heartbeatTimeout: Duration.Input
}

export interface Session<C extends Connection, E> {
  readonly connection: C
  /** Starts to listen to a channel that has subscribers, and stops for a channel without any. */
  readonly sync: (channel: string) => void
  /** Publishes the next heartbeat at once. */
  readonly beatNow: () => void
  /** Succeeds with the reason when the connection is lost. */
  readonly lost: Effect.Effect<E>
}

/** Opens a connection and waits for its first heartbeat. */
export const open = Effect.fnUntraced(function* <C extends Connection, E>(
  options: SessionOptions<C, E>
): Effect.fn.Return<Session<C, E>, E, Scope.Scope> {
  const { driver, subscribers } = options
  // The fibers are made before the connection, so they end after it, when everything that waits for the server has
  // failed. Only these fibers send statements: the interruption of a statement waits for the server, which may hang.
  const fibers = yield* FiberSet.make<void, E>()
  const fork = yield* FiberSet.runtime(fibers)()
  const connection = yield* driver.connect

  const heard = yield* Latch.make()
  const beatRequested = yield* Latch.make()
  fork(Effect.mapError(beat(options, connection, heard, beatRequested), driver.broken))
  const awaitHeartbeat = Effect.raceFirst(FiberSet.join(fibers), Effect.andThen(heard.await, heard.close)).pipe(
    Effect.timeoutOrElse({
      duration: Duration.sum(
        Duration.fromInputUnsafe(options.heartbeatInterval),
        Duration.fromInputUnsafe(options.heartbeatTimeout)
      ),
      orElse: () => Effect.fail(driver.silent())
    })
  )
  yield* awaitHeartbeat

  const receivers = new Map<string, Fiber.Fiber<unknown, unknown>>()
  return {
    connection,
    sync: (channel) => {
      const receiver = receivers.get(channel)
      if (receiver === undefined) {
        if (subscribers.has(channel)) {
          receivers.set(channel, fork(Effect.mapError(receive(connection, subscribers, channel), driver.broken)))
        }
      } else if (!subscribers.has(channel)) {
        receivers.delete(channel)
        receiver.interruptUnsafe()
      }
    },
    beatNow: () => void beatRequested.openUnsafe(),
    lost: Effect.flip(Effect.forever(awaitHeartbeat))
  }
})

/** Publishes a heartbeat at every interval and on request, and opens the latch when one of them arrives. */
const beat = Effect.fnUntraced(function* <C extends Connection, E>(
  { heartbeatInterval, heartbeats, subscribers }: SessionOptions<C, E>,
  connection: C,
  heard: Latch.Latch,
  beatRequested: Latch.Latch
) {
  const arrivals = yield* connection.listen(heartbeats.channel)
  const receive = Effect.map(Queue.takeAll(arrivals), (all) => {
    for (const { payload } of all) {
      const { isGap, isOwn } = heartbeats.receive(payload)
      if (isGap) subscribers.resync()
      if (isOwn) heard.openUnsafe()
    }
  })
  const send = beatRequested.close.pipe(
    Effect.andThen(Effect.suspend(() => connection.beat(heartbeats.channel, heartbeats.next()))),
    Effect.andThen(Effect.raceFirst(Effect.sleep(heartbeatInterval), beatRequested.await))
  )
  return yield* Effect.raceFirst(Effect.forever(receive), Effect.forever(send))
}, Effect.scoped)

/** Listens to a channel and delivers its messages until interrupted. */
const receive = (connection: Connection, subscribers: Subscribers, channel: string) =>
  Effect.gen(function* () {
    // uninterruptible, because a cancellation could hit the next statement
    const messages = yield* Effect.uninterruptible(connection.listen(channel))
    subscribers.setState(channel, "subscribed")
    return yield* Queue.takeAll(messages).pipe(
      Effect.flatMap(Effect.forEach(({ payload }) => deliver(subscribers, channel, payload), { discard: true })),
      Effect.forever
    )
  }).pipe(
    Effect.scoped,
    // the next statement shows whether the channel or the connection failed
    Effect.catch((cause) =>
      Effect.andThen(
        connection.check,
        Effect.sync(() => subscribers.setState(channel, refusal(channel, cause)))
      )
    )
  )

const deliver = (subscribers: Subscribers, channel: string, payload: string) => {
  const bytes = Utf8.byteLength(payload)
  const size = bytes < PubSubMetrics.colossalBytes ? PubSubMetrics.messages.normal : PubSubMetrics.messages.colossal
  return Metric.update(size, 1).pipe(
    Effect.andThen(Metric.update(PubSubMetrics.receivedBytes, bytes)),
    Effect.andThen(Effect.sync(() => subscribers.deliver(channel, payload)))
  )
}
