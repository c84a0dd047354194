/**
 * Keeps one connection listening for all subscribers, and replaces it when it is lost.
 *
 * It is a state machine with three states. `activate` leads from Connecting to Active, `fail` from Active back to
 * Connecting, and `end` from either of them to Ended.
 *
 * - Connecting: attempts follow each other until one succeeds. All channels are in the state of `stateWhileConnecting`.
 * - Active: a session listens. Each channel is subscribed when its LISTEN is confirmed.
 * - Ended: the scope was closed, or the listener died. All subscriptions fail.
 *
 * The pause between two attempts doubles after each failure. `retryNow` is called when the server has responded
 * elsewhere: it ends the current pause, but not before `minBackoff`, and affects one attempt only.
 */
import { Cause, Deferred, type Duration, Effect, Exit, Fiber, Latch, Metric, Schedule, type Scope } from "effect"
import * as PubSubMetrics from "../PubSubMetrics.ts"
import { type Connection, open, type Session, type SessionOptions } from "./listenerSession.ts"
import { refusal } from "./refusal.ts"

export interface Options<C extends Connection, E> extends SessionOptions<C, E> {
  readonly minBackoff: Duration.Input
  readonly maxBackoff: Duration.Input
  /** The state of all channels while Connecting: `subscribed` lets subscribers read at intervals. Default: `pending`. */
  readonly stateWhileConnecting?: "pending" | "subscribed" | undefined
}

export interface Listener<C extends Connection, E> {
  /** Call this when a channel got its first subscriber or lost its last one. Returns at once. */
  readonly sync: (channel: string) => void
  /** Call this when the server has responded on another connection. Returns at once. */
  readonly retryNow: () => void
  /** Whether the connection is lost and being replaced. */
  readonly isConnecting: () => boolean
  /** Returns the present session, if there is one. */
  readonly session: () => Session<C, E> | undefined
}

type State<C extends Connection, E> =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Active"; readonly session: Session<C, E> }
  | { readonly _tag: "Ended"; readonly cause: Cause.Cause<unknown> }

/**
 * Listens until the scope ends. Fails when the first connection fails; later connections are retried until one
 * succeeds.
 */
export const make = Effect.fnUntraced(function* <C extends Connection, E extends Error>(
  options: Options<C, E>
): Effect.fn.Return<Listener<C, E>, E, Scope.Scope> {
  const { stateWhileConnecting = "pending", subscribers } = options
  const started = yield* Deferred.make<void, E>()
  const retryRequested = yield* Latch.make()
  let state: State<C, E> = { _tag: "Connecting" }
  // the caller gets the error of the first attempt
  let isOutageLogged = true

  const sync = (channel: string): void => {
    switch (state._tag) {
      case "Connecting":
        return subscribers.setState(channel, stateWhileConnecting)
      case "Active":
        return state.session.sync(channel)
      case "Ended":
        return subscribers.setState(channel, refusal(channel, new Error("the listener ended", { cause: state.cause })))
    }
  }

  const enter = (next: State<C, E>) => {
    state = next
    subscribers.channels().forEach(sync)
  }

  const activate = Effect.fnUntraced(function* (session: Session<C, E>) {
    enter({ _tag: "Active", session })
    isOutageLogged = false
    yield* Metric.modify(PubSubMetrics.connected, 1)
    yield* Effect.addFinalizer((exit) =>
      Effect.suspend(() => {
        // an interrupted session is not replaced
        if (!Exit.hasInterrupts(exit)) enter({ _tag: "Connecting" })
        return Metric.modify(PubSubMetrics.connected, -1)
      })
    )
    yield* Effect.logInfo("listening for messages")
    yield* Deferred.succeed(started, undefined)
  })

  const fail = (error: E) =>
    Effect.andThen(
      Metric.update(PubSubMetrics.disconnections, 1),
      Effect.logWarning("lost the listening connection", Cause.fail(error))
    )

  // an outage is one warning, however many attempts fail while it lasts
  const cannotListen = (error: E) => {
    const level = isOutageLogged ? "Debug" : "Warn"
    isOutageLogged = true
    return Effect.logWithLevel(level)("cannot listen for messages", Cause.fail(error))
  }

  const end = (cause: Cause.Cause<unknown>) =>
    Effect.suspend(() => {
      enter({ _tag: "Ended", cause })
      return Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError("the listener died", cause)
    })

  /** Succeeds with the error that ended the session; fails when the session ended without an error. */
  const runSession = open(options).pipe(
    Effect.tap(activate),
    Effect.flatMap(({ lost }) => lost),
    Effect.scoped,
    Effect.tapError(cannotListen),
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
    isConnecting: () => state._tag === "Connecting",
    session: () => (state._tag === "Active" ? state.session : undefined)
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
  (
    { maxBackoff, minBackoff }: Pick<Options<Connection, unknown>, "maxBackoff" | "minBackoff">,
    retryRequested: Latch.Latch
  ) =>
  <A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
    Effect.flatMap(Schedule.toStepWithSleep(backoff(minBackoff, maxBackoff)), (pause) =>
      Effect.andThen(retryRequested.close, attempt).pipe(
        Effect.tapError(() =>
          Effect.raceFirst(Effect.ignore(pause(undefined)), Effect.delay(retryRequested.await, minBackoff))
        ),
        Effect.eventually
      )
    )
