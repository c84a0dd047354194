/**
 * The one connection that listens for all subscribers, and its replacement when it is lost.
 *
 * - A channel is listened to exactly while someone is on it. LISTEN and UNLISTEN go over the one connection in the
 *   order of demand, so that whoever joins a channel that is just being left ends up listening.
 * - The connection has to hear itself: it publishes on a channel of its own, once before it is used and then at every
 *   `heartbeatInterval`. One that hears nothing for `heartbeatInterval` and `heartbeatTimeout` together is given up,
 *   whatever its socket says. Giving up does not wait for the server.
 * - A lost connection is replaced, after a pause that doubles as long as that fails. Its channels are pending until
 *   their LISTEN is confirmed on the next one.
 * - A nudge, which says that the database has just answered, ends the pause between two attempts, though not before
 *   `minBackoff`. It is good for one attempt, however many nudges there are until that begins.
 * - A channel that a living connection refuses to listen to turns its subscribers away; so do all channels once the
 *   listener has ended.
 */
import { PgConnection } from "@effect/sql-pg"
import {
  Cause,
  Deferred,
  Duration,
  Effect,
  Fiber,
  FiberSet,
  Function,
  Latch,
  Metric,
  Queue,
  Schedule,
  Schema,
  type Scope
} from "effect"
import * as Utf8 from "../../domain/Utf8.ts"
import { PubSubError } from "../PubSubEvent.ts"
import * as PubSubMetrics from "../PubSubMetrics.ts"
import { randomUuid } from "../../domain/RandomUuid.ts"
import type { Subscribers } from "./subscribers.ts"

/**
 * Why there is no listening connection.
 *
 * - `connection`: it cannot be opened, or it broke.
 * - `silence`: it does not hear what it publishes itself. From the first moment on this is what a transaction pooler
 *   looks like, to which LISTEN means nothing; later it is a peer that has gone without a word.
 */
export class ListenerError extends Schema.TaggedError<ListenerError>()("ListenerError", {
  reason: Schema.Literals(["connection", "silence"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return this.reason === "silence"
      ? "the listening connection does not hear itself; is a transaction pooler in between?"
      : "the listening connection cannot be opened or broke"
  }
}

export interface Options {
  readonly connection: PgConnection.Config
  readonly subscribers: Subscribers
  readonly heartbeatInterval: Duration.Input
  readonly heartbeatTimeout: Duration.Input
  readonly minBackoff: Duration.Input
  readonly maxBackoff: Duration.Input
}

export interface Listener {
  /** To be called when a channel has got its first subscriber or lost its last one. Waits for nothing. */
  readonly sync: (channel: string) => void
  /** To be called when the database has answered elsewhere. Waits for nothing. */
  readonly nudge: () => void
}

/** The pauses while connecting fails: from `min` on, doubling, give or take a fifth, never above `max`. */
export const backoff = (min: Duration.Input, max: Duration.Input) =>
  Schedule.min([Schedule.jittered(Schedule.exponential(min)), Schedule.spaced(max)])

/** Attempts until one succeeds, with the pauses of `backoff`. An open latch cuts them short, and is closed by an attempt. */
export const insist =
  ({ maxBackoff, minBackoff }: Pick<Options, "maxBackoff" | "minBackoff">, nudged: Latch.Latch) =>
  <A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
    Effect.flatMap(Schedule.toStepWithSleep(backoff(minBackoff, maxBackoff)), (pause) =>
      Effect.andThen(nudged.close, attempt).pipe(
        Effect.tapError(() =>
          Effect.raceFirst(Effect.ignore(pause(undefined)), Effect.delay(nudged.await, minBackoff))
        ),
        Effect.eventually
      )
    )

/** Listens until the scope ends. Fails when the first connection does; later ones are tried for as long as it takes. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Listener, ListenerError, Scope.Scope> {
  const { subscribers } = options
  const heartbeatChannel = `listener-heartbeat:${yield* randomUuid}`
  const started = yield* Deferred.make<void, ListenerError>()
  const nudged = yield* Latch.make(false)
  let sync: Listener["sync"] = Function.constVoid

  const stand = (session: Session) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        sync = session.sync
        subscribers.channels().forEach(sync)
        return Metric.modify(PubSubMetrics.connected, 1)
      }),
      () =>
        Effect.suspend(() => {
          sync = Function.constVoid
          for (const channel of subscribers.channels()) subscribers.settle(channel, "pending")
          return Metric.modify(PubSubMetrics.connected, -1)
        })
    )

  const end = (cause: Cause.Cause<unknown>) =>
    Effect.suspend(() => {
      sync = (channel) => subscribers.settle(channel, refusal(channel, new Error("the listener has ended", { cause })))
      subscribers.channels().forEach(sync)
      return Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError("The listener died", cause)
    })

  const fiber = yield* connect(options, heartbeatChannel).pipe(
    Effect.tap(stand),
    Effect.tap(() => Effect.logInfo("Listening for messages")),
    Effect.tap(() => Deferred.succeed(started, undefined)),
    Effect.flatMap((session) => session.lost),
    Effect.scoped,
    // from here on success means that a connection stood and was lost
    Effect.tap(() => Metric.update(PubSubMetrics.disconnections, 1)),
    Effect.tap((error) => Effect.logWarning("Lost the listening connection", Cause.fail(error))),
    Effect.tapError((error) => Effect.logWarning("Cannot listen for messages", Cause.fail(error))),
    Effect.tapCause((cause) => Deferred.failCause(started, cause)),
    insist(options, nudged),
    Effect.repeat(Schedule.jittered(Schedule.spaced(options.minBackoff))),
    Effect.onError(end),
    Effect.forkScoped
  )
  yield* Effect.onError(Deferred.await(started), () => Fiber.interrupt(fiber))

  return { sync: (channel) => sync(channel), nudge: () => void nudged.openUnsafe() }
})

interface Session extends Pick<Listener, "sync"> {
  /** What ended the connection, once it has. */
  readonly lost: Effect.Effect<ListenerError>
}

/** Opens a connection and hears it once. */
const connect = Effect.fnUntraced(function* (
  options: Options,
  heartbeatChannel: string
): Effect.fn.Return<Session, ListenerError, Scope.Scope> {
  const { subscribers } = options
  // Made before the connection, so ended after it, when everything that waits for the server has failed. Only these
  // fibers make statements: interrupting a statement takes the server's answer, which a hanging one does not give.
  const fibers = yield* FiberSet.make<void, ListenerError>()
  const fork = yield* FiberSet.runtime(fibers)()
  const connection = yield* PgConnection.make(options.connection).pipe(
    Effect.flatMap((connection) => connection.pin),
    Effect.mapError(broken)
  )

  const heard = yield* Latch.make()
  const pulse = Effect.raceFirst(FiberSet.join(fibers), Effect.andThen(heard.await, heard.close)).pipe(
    Effect.timeoutOrElse({
      duration: Duration.sum(
        Duration.fromInputUnsafe(options.heartbeatInterval),
        Duration.fromInputUnsafe(options.heartbeatTimeout)
      ),
      orElse: () => Effect.fail(new ListenerError({ reason: "silence" }))
    })
  )

  const heartbeat = Effect.gen(function* () {
    const echoes = yield* connection.listen(heartbeatChannel)
    yield* connection
      .query("select pg_notify($1, '')", [heartbeatChannel])
      .pipe(
        Effect.andThen(Queue.takeAll(echoes)),
        Effect.andThen(heard.open),
        Effect.repeat(Schedule.spaced(options.heartbeatInterval))
      )
  }).pipe(Effect.scoped, Effect.mapError(broken))

  const receive = (channel: string) =>
    Effect.gen(function* () {
      // left alone even when it is no longer wanted: cancelling it could hit the next statement
      const notifications = yield* Effect.uninterruptible(connection.listen(channel))
      subscribers.settle(channel, "in place")
      return yield* Queue.takeAll(notifications).pipe(
        Effect.flatMap(Effect.forEach(({ payload }) => deliver(subscribers, channel, payload), { discard: true })),
        Effect.forever
      )
    }).pipe(
      Effect.scoped,
      // whose fault it is, the channel's or the connection's, the next statement tells
      Effect.catch((cause) =>
        Effect.andThen(
          connection.query("select 1"),
          Effect.sync(() => subscribers.settle(channel, refusal(channel, cause)))
        )
      ),
      Effect.mapError(broken)
    )

  fork(heartbeat)
  yield* pulse

  const receivers = new Map<string, Fiber.Fiber<unknown, unknown>>()
  return {
    sync: (channel) => {
      const receiver = receivers.get(channel)
      if (receiver === undefined) {
        if (subscribers.has(channel)) receivers.set(channel, fork(receive(channel)))
      } else if (!subscribers.has(channel)) {
        receivers.delete(channel)
        receiver.interruptUnsafe()
      }
    },
    lost: Effect.flip(Effect.forever(pulse))
  }
})

const deliver = (subscribers: Subscribers, channel: string, payload: string) => {
  const bytes = Utf8.byteLength(payload)
  const size = bytes < PubSubMetrics.colossalBytes ? PubSubMetrics.messages.normal : PubSubMetrics.messages.colossal
  return Metric.update(size, 1).pipe(
    Effect.andThen(Metric.update(PubSubMetrics.receivedBytes, bytes)),
    Effect.andThen(Effect.sync(() => subscribers.deliver(channel, payload)))
  )
}

const broken = (cause: unknown) => new ListenerError({ reason: "connection", cause })

const refusal = (channel: string, cause: unknown) => new PubSubError({ operation: "subscribe", channel, cause })
