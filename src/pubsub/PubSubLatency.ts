/**
 * Measures the latency of the pubsub: publishes a message and waits for its arrival.
 *
 * - Every measurement has its own channel, so that a late message cannot disturb a later measurement.
 * - A failure contains the duration of the publication, if the publication succeeded.
 */
import { Clock, Deferred, Duration, Effect, Fiber, Metric, Option, Schedule, Schema, Stream } from "effect"
import { randomUuid } from "../domain/RandomUuid.ts"
import { match, PubSub } from "./PubSub.ts"
import * as PubSubMetrics from "./PubSubMetrics.ts"

export interface Latency {
  /** The time from the start of the publication to its acceptance. */
  readonly send: Duration.Duration
  /** The time from the start of the publication to the arrival of the message, which may precede the acceptance. */
  readonly receive: Duration.Duration
}

/** A measurement failed: the subscription or the publication failed, or the message did not arrive. */
export class PubSubLatencyError extends Schema.TaggedError<PubSubLatencyError>()("PubSubLatencyError", {
  /** The duration of the publication, if it was accepted; then only the message is missing. */
  send: Schema.Option(Schema.Duration),
  cause: Schema.Defect()
}) {
  override get message() {
    return Option.isSome(this.send) ? "the published message did not come back" : "no message could be published"
  }
}

export interface Options {
  /** The longest time of a measurement. Default: 10 s. */
  readonly timeout?: Duration.Input | undefined
  /** The label `backend` of the latency metrics. Default: `postgres`. */
  readonly backend?: string | undefined
}

/** Returns the channel of a measurement: at most 63 bytes for the first ten thousand million measurements. */
export const channelName = (instance: string, sequence: number) => `latency-measure:${instance}.${sequence}`

export interface PubSubLatency {
  /** Makes one measurement and records it in the metrics. */
  readonly measure: Effect.Effect<Latency, PubSubLatencyError>
}

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<PubSubLatency, never, PubSub> {
  const pubsub = yield* PubSub
  const instance = yield* randomUuid
  const backend = options.backend ?? "postgres"
  let sequence = 0

  const exchange = Effect.fnUntraced(function* (channel: string, onSent: (send: Duration.Duration) => void) {
    const id = yield* randomUuid
    const subscribed = yield* Deferred.make<void>()
    const arrival = yield* pubsub.subscribe(channel).pipe(
      Stream.filterEffect(
        match({
          Resync: () => Effect.as(Deferred.succeed(subscribed, undefined), false),
          Message: ({ payload }) =>
            payload === id
              ? Effect.succeed(true)
              : Effect.as(Effect.logWarning("ignored an unexpected message to a latency measurement"), false)
        })
      ),
      Stream.runHead,
      Effect.flatMap(Effect.fromOption),
      Effect.andThen(Clock.currentTimeNanos),
      Effect.forkScoped
    )
    yield* Effect.raceFirst(Deferred.await(subscribed), Fiber.join(arrival))

    const start = yield* Clock.currentTimeNanos
    const [send] = yield* Effect.timed(pubsub.publish(channel, id))
    onSent(send)
    return { send, receive: Duration.nanos((yield* Fiber.join(arrival)) - start) }
  }, Effect.scoped)

  const measure = Effect.gen(function* () {
    let send = Option.none<Duration.Duration>()
    yield* Metric.update(PubSubMetrics.latencyMeasures, 1)
    return yield* exchange(channelName(instance, sequence++), (duration) => (send = Option.some(duration))).pipe(
      Effect.timeout(options.timeout ?? "10 seconds"),
      Effect.mapError((cause) => new PubSubLatencyError({ send, cause })),
      Effect.tapError(() => Metric.update(PubSubMetrics.latencyMeasureErrors, 1)),
      Effect.tap((latency) =>
        Metric.update(PubSubMetrics.receiveLatencySeconds(backend), Duration.toSeconds(latency.receive))
      ),
      Effect.ensuring(
        Effect.suspend(() =>
          Option.match(send, {
            onNone: () => Effect.void,
            onSome: (send) => Metric.update(PubSubMetrics.sendLatencySeconds(backend), Duration.toSeconds(send))
          })
        )
      )
    )
  })

  return { measure }
})

/** Makes a measurement every 15 s, for the metrics, until it is interrupted. */
export const measureForever = (backend: string): Effect.Effect<never, never, PubSub> =>
  Effect.flatMap(make({ backend }), ({ measure }) =>
    Effect.andThen(
      Effect.schedule(Effect.ignoreCause(measure, { log: "Debug" }), Schedule.spaced("15 seconds")),
      Effect.never
    )
  )
