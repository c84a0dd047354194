/**
 * How long messages take: one is published, and its arrival awaited.
 *
 * - Every measurement has a channel to itself, so that a message that comes late disturbs no later measurement.
 * - A failure says how long the publication took, if it came that far.
 * - Nothing is measured unless it is asked for: typically once per scrape of the metrics.
 */
import { Clock, Deferred, Duration, Effect, Fiber, Metric, Option, Schema, Stream } from "effect"
import { randomUuid } from "../domain/RandomUuid.ts"
import { match, PubSub } from "./PubSub.ts"
import * as PubSubMetrics from "./PubSubMetrics.ts"

export interface Latency {
  /** From the beginning of the publication until it was accepted. */
  readonly send: Duration.Duration
  /** From the beginning of the publication until the message was here; it may come before the acceptance does. */
  readonly receive: Duration.Duration
}

/** A measurement without a result: it was not possible to subscribe or to publish, or the message did not come. */
export class PubSubLatencyError extends Schema.TaggedError<PubSubLatencyError>()("PubSubLatencyError", {
  /** How long the publication took, if it was accepted: then only the message is missing. */
  send: Schema.Option(Schema.Duration),
  cause: Schema.Defect()
}) {
  override get message() {
    return Option.isSome(this.send) ? "the published message did not come back" : "no message could be published"
  }
}

export interface Options {
  /** How long a measurement may take in all. Default: 10 s. */
  readonly timeout?: Duration.Input | undefined
  /** The label `backend` of the latencies among the metrics. Default: `postgres`. */
  readonly backend?: string | undefined
}

/** The channel of a measurement: 63 bytes at most for the first ten thousand million measurements. */
export const channelName = (instance: string, sequence: number) => `latency-measure:${instance}.${sequence}`

export interface PubSubLatency {
  /** Makes one measurement and enters it into the metrics. */
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
    const inPlace = yield* Deferred.make<void>()
    const arrival = yield* pubsub.subscribe(channel).pipe(
      Stream.filterEffect(
        match({
          Resync: () => Effect.as(Deferred.succeed(inPlace, undefined), false),
          Message: ({ payload }) =>
            payload === id
              ? Effect.succeed(true)
              : Effect.as(Effect.logWarning("Ignored an unexpected message to a latency measurement"), false)
        })
      ),
      Stream.runHead,
      Effect.flatMap(Effect.fromOption),
      Effect.andThen(Clock.currentTimeNanos),
      Effect.forkScoped
    )
    yield* Effect.raceFirst(Deferred.await(inPlace), Fiber.join(arrival))

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
