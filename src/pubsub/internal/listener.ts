/**
 * Keeps one connection listening for all subscribers, and replaces it when it is lost.
 *
 * It is a state machine with three states. `activate` leads from Connecting to Active, `fail` from Active back to
 * Connecting, and `end` from either of them to Ended.
 *
 * - Connecting: attempts follow each other until one succeeds. All channels are pending.
 * - Active: a session listens. Each channel is subscribed when its LISTEN is confirmed.
 * - Ended: the scope was closed, or the listener died. All subscriptions fail.
 *
 * The pause between two attempts doubles after each failure. `retryNow` is called when the database has responded
 * elsewhere: it ends the current pause, but not before `minBackoff`, and affects one attempt only.
 */
import { Cause, Deferred, type Duration, Effect, Fiber, Latch, Metric, Schedule, type Scope } from "effect"
import { randomUuid } from "../../domain/RandomUuid.ts"
import * as PubSubMetrics from "../PubSubMetrics.ts"
import { type ListenerError, refusal } from "./listenerError.ts"
import { open, type Session, type SessionOptions } from "./listenerSession.ts"

export interface Options extends Omit<SessionOptions, "heartbeatChannel"> {
  readonly minBackoff: Duration.Input
  readonly maxBackoff: Duration.Input
}

export interface Listener {
  /** Call this when a channel got its first subscriber or lost its last one. Returns at once. */
  readonly sync: (channel: string) => void
  /** Call this when the database has responded on another connection. Returns at once. */
  readonly retryNow: () => void
  /** Whether the connection is lost and being replaced. */
  readonly isConnecting: () => boolean
}

type State =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Active"; readonly session: Session }
  | { readonly _tag: "Ended"; readonly cause: Cause.Cause<unknown> }

/**
 * Listens until the scope ends. Fails when the first connection fails; later connections are retried until one
 * succeeds.
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Listener, ListenerError, Scope.Scope> {
  const { subscribers } = options
  const sessionOptions = { ...options, heartbeatChannel: `listener-heartbeat:${yield* randomUuid}` }
  const started = yield* Deferred.make<void, ListenerError>()
  const retryRequested = yield* Latch.make(false)
  let state: State = { _tag: "Connecting" }

  const sync = (channel: string): void => {
    switch (state._tag) {
      case "Connecting":
        return subscribers.setState(channel, "pending")
      case "Active":
        return state.session.sync(channel)
      case "Ended":
        return subscribers.setState(channel, refusal(channel, new Error("the listener ended", { cause: state.cause })))
    }
  }

  const enter = (next: State) => {
    state = next
    subscribers.channels().forEach(sync)
  }

  const activate = Effect.fnUntraced(function* (session: Session) {
    enter({ _tag: "Active", session })
    yield* Metric.modify(PubSubMetrics.connected, 1)
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        enter({ _tag: "Connecting" })
        return Metric.modify(PubSubMetrics.connected, -1)
      })
    )
    yield* Effect.logInfo("listening for messages")
    yield* Deferred.succeed(started, undefined)
  })

  const fail = (error: ListenerError) =>
    Effect.andThen(
      Metric.update(PubSubMetrics.disconnections, 1),
      Effect.logWarning("lost the listening connection", Cause.fail(error))
    )

  const end = (cause: Cause.Cause<unknown>) =>
    Effect.suspend(() => {
      enter({ _tag: "Ended", cause })
      return Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError("the listener died", cause)
    })

  /** Succeeds with the error that ended the session; fails when the session ended without an error. */
  const runSession = open(sessionOptions).pipe(
    Effect.tap(activate),
    Effect.flatMap(({ lost }) => lost),
    Effect.scoped,
    Effect.tapError((error) => Effect.logWarning("cannot listen for messages", Cause.fail(error))),
    Effect.tapCause((cause) => Deferred.failCause(started, cause))
  )

  const fiber = yield* runSession.pipe(
    retryForever(options, retryRequested),
    Effect.tap(fail),
    Effect.repeat(Schedule.jittered(Schedule.spaced(options.minBackoff))),
    Effect.onError(end),
    Effect.forkScoped
  )
  yield* Effect.onError(Deferred.await(started), () => Fiber.interrupt(fiber))

  return {
    sync,
    retryNow: () => void retryRequested.openUnsafe(),
    isConnecting: () => state._tag === "Connecting"
  }
})

/**
 * Returns the pauses between attempts to connect: `min`, then doubled each time, varied by a fifth, never above `max`.
 */
export const backoff = (min: Duration.Input, max: Duration.Input) =>
  Schedule.min([Schedule.jittered(Schedule.exponential(min)), Schedule.spaced(max)])

/**
 * Tries until an attempt succeeds, with the pauses of `backoff`. An open latch ends a pause; an attempt closes the
 * latch.
 */
export const retryForever =
  ({ maxBackoff, minBackoff }: Pick<Options, "maxBackoff" | "minBackoff">, retryRequested: Latch.Latch) =>
  <A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
    Effect.flatMap(Schedule.toStepWithSleep(backoff(minBackoff, maxBackoff)), (pause) =>
      Effect.andThen(retryRequested.close, attempt).pipe(
        Effect.tapError(() =>
          Effect.raceFirst(Effect.ignore(pause(undefined)), Effect.delay(retryRequested.await, minBackoff))
        ),
        Effect.eventually
      )
    )
