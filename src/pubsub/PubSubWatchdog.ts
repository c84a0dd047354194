/**
 * Detects that messages no longer arrive, whatever the cause.
 *
 * - Every replica publishes a heartbeat on one channel at every `interval`, and every replica listens: any heartbeat
 *   counts.
 * - A heartbeat that cannot be published causes a warning; the next one is published as usual.
 * - Silence is measured only by successful publications, one `interval` for each. So neither an outage of the broker
 *   nor a stopped process counts as silence. Time in which the pubsub replaces a lost connection does not count either.
 * - The watchdog gives its signal after a silence of `timeout`, and at once when it cannot listen to the channel
 *   although the connection works. The signal is given once and logged as fatal; the caller decides what follows.
 * - When the scope ends, the watchdog ends without a signal.
 */
import { Cause, Deferred, Duration, Effect, Schedule, Schema, type Scope, Stream } from "effect"
import { is, PubSub } from "./PubSub.ts"

/** The channel of the heartbeats. */
export const channel = "pubsub_watchdog"

/**
 * The signal of the watchdog.
 *
 * - `silence`: no heartbeat arrived for `timeout`.
 * - `subscribe`: the channel of the heartbeats cannot be listened to.
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
  /** The time between two heartbeats. Default: 15 s. */
  readonly interval?: Duration.Input | undefined
  /** The silence that gives the signal, from the start and then from each heartbeat. Default: 5 min. */
  readonly timeout?: Duration.Input | undefined
}

export interface PubSubWatchdog {
  /** Fails with the signal. Without one it never returns, not even after the end of the watchdog. */
  readonly timeout: Effect.Effect<never, PubSubWatchdogError>
}

/** Watches until the scope ends. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<PubSubWatchdog, never, PubSub | Scope.Scope> {
  const pubsub = yield* PubSub
  const reconnecting = pubsub.reconnecting ?? Effect.succeed(false)
  const interval = Duration.fromInputUnsafe(options.interval ?? "15 seconds")
  const timeout = Duration.fromInputUnsafe(options.timeout ?? "5 minutes")
  const signal = yield* Deferred.make<never, PubSubWatchdogError>()
  let silence = Duration.zero
  let isPublished = true

  const listen = pubsub.subscribe(channel).pipe(
    Stream.filter(is("Message")),
    Stream.runForEach(() => Effect.sync(() => void (silence = Duration.zero))),
    Effect.mapError((cause) => new PubSubWatchdogError({ reason: "subscribe", cause })),
    Effect.andThen(Effect.fail(new PubSubWatchdogError({ reason: "subscribe" }))),
    Effect.tapError((error) => Effect.logWarning("lost the heartbeats of the pubsub", Cause.fail(error))),
    Effect.retry({ while: () => reconnecting, schedule: Schedule.spaced("1 second") })
  )

  const publish = pubsub.publish(channel, "").pipe(
    Effect.timeout(interval),
    Effect.as(true),
    Effect.catchCauseIf(
      (cause) => !Cause.hasInterruptsOnly(cause),
      (cause) => Effect.as(Effect.logWarning("cannot publish a heartbeat of the pubsub", cause), false)
    )
  )

  const beat = Effect.gen(function* () {
    if (isPublished && !(yield* reconnecting)) silence = Duration.sum(silence, interval)
    if (Duration.isGreaterThanOrEqualTo(silence, timeout)) {
      return yield* new PubSubWatchdogError({ reason: "silence" })
    }
    isPublished = yield* publish
  })

  yield* Effect.raceFirst(listen, Effect.schedule(beat, Schedule.fixed(interval))).pipe(
    Effect.onError((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.andThen(
            Effect.logFatal("the watchdog of the pubsub gave its signal", cause),
            Deferred.failCause(signal, cause as Cause.Cause<PubSubWatchdogError>)
          )
    ),
    Effect.forkScoped
  )

  return { timeout: Deferred.await(signal) }
})
