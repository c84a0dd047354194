/**
 * Notices that messages no longer arrive, by whatever means they got lost.
 *
 * - All replicas publish on one channel, each at every `interval`, and all listen: it does not matter whose heartbeat
 *   is heard.
 * - The signal is given when none is heard for `timeout`, and at once when the channel cannot be listened to. It is
 *   given once, and logged as fatal: what to do about it is for who awaits it to say.
 * - The end of the scope ends the watchdog and is no reason for a signal.
 */
import { Cause, Deferred, type Duration, Effect, Schedule, Schema, type Scope, Stream } from "effect"
import { is, PubSub } from "./PubSub.ts"

/** The channel of the heartbeats. */
export const channel = "pubsub_watchdog"

/**
 * What the watchdog has to say.
 *
 * - `silence`: no heartbeat came for as long as one is waited for.
 * - `subscribe`: the channel of the heartbeats cannot be listened to, or no longer.
 */
export class PubSubWatchdogError extends Schema.TaggedError<PubSubWatchdogError>()("PubSubWatchdogError", {
  reason: Schema.Literals(["silence", "subscribe"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return this.reason === "silence" ? "no heartbeat comes through the pubsub" : "cannot listen for heartbeats"
  }
}

export interface Options {
  /** How often a heartbeat is published. Default: 15 s. */
  readonly interval?: Duration.Input | undefined
  /** How long to wait for a heartbeat, from the start and then from each one. Default: 5 min. */
  readonly timeout?: Duration.Input | undefined
}

export interface PubSubWatchdog {
  /** Waits for the signal, and fails with it. Without a signal it never returns, not even after the watchdog's end. */
  readonly timeout: Effect.Effect<never, PubSubWatchdogError>
}

/** Watches until the scope ends. A heartbeat that cannot be published is the last one that is tried. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<PubSubWatchdog, never, PubSub | Scope.Scope> {
  const pubsub = yield* PubSub
  const signal = yield* Deferred.make<never, PubSubWatchdogError>()

  yield* pubsub.subscribe(channel).pipe(
    Stream.filter(is("Message")),
    Stream.mapError((cause) => new PubSubWatchdogError({ reason: "subscribe", cause })),
    Stream.timeoutOrElse({
      duration: options.timeout ?? "5 minutes",
      orElse: () => Stream.fail(new PubSubWatchdogError({ reason: "silence" }))
    }),
    Stream.runDrain,
    Effect.andThen(Effect.fail(new PubSubWatchdogError({ reason: "subscribe" }))),
    Effect.onError((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.andThen(
            Effect.logFatal("The watchdog of the pubsub gives its signal", cause),
            Deferred.failCause(signal, cause)
          )
    ),
    Effect.forkScoped
  )

  yield* pubsub.publish(channel, "").pipe(
    Effect.schedule(Schedule.fixed(options.interval ?? "15 seconds")),
    Effect.catchCauseIf(
      (cause) => !Cause.hasInterruptsOnly(cause),
      (cause) => Effect.logWarning("The watchdog of the pubsub publishes no more heartbeats", cause)
    ),
    Effect.forkScoped
  )

  return { timeout: Deferred.await(signal) }
})
