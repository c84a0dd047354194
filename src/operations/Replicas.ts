/**
 * Shares the figures of this replica with all others over the pubsub, and keeps theirs.
 *
 * - A replica publishes its figures every {@link interval}, and is forgotten after {@link silentAfter} without any.
 * - The workers of one service are one replica.
 * - While the pubsub is away a replica knows its own figures alone.
 */
import { Effect, Option, Schedule, Schema, Stream } from "effect"
import { hostname } from "node:os"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import * as PubSub from "../pubsub/PubSub.ts"
import { Figures } from "./ReplicaFigures.ts"

/** The channel on which replicas publish their figures. */
export const channel = "replica_figures"

/** The time between two publications of a replica. */
export const interval = "5 seconds"

/** The milliseconds after which a silent replica is forgotten. */
export const silentAfter = 16_000

export interface Replicas {
  /** The name of this replica. */
  readonly name: string
  /** Publishes figures of this replica. */
  readonly publish: (figures: Figures) => Effect.Effect<void>
  /** The last figures of the other replicas. */
  readonly others: Effect.Effect<ReadonlyArray<Figures>>
}

const Payload = Schema.fromJsonString(Figures)
const encode = Schema.encodeEffect(Payload)
const decode = Schema.decodeUnknownOption(Payload)

/** Listens to the other replicas until the scope closes. `pid` is the process of the service. */
export const make = Effect.fnUntraced(function* (pid: number) {
  const pubsub = yield* PubSub.PubSub
  const name = `${hostname()}:${pid}`
  const heard = new Map<string, { readonly figures: Figures; readonly at: number }>()

  yield* pubsub.subscribe(channel).pipe(
    Stream.filter(PubSub.is("Message")),
    Stream.runForEach(({ payload }) =>
      Effect.map(MonotonicClock.millis, (at) => {
        const figures = Option.getOrUndefined(decode(payload))
        if (figures !== undefined && figures.name !== name) heard.set(figures.name, { figures, at })
      })
    ),
    Effect.tapError((error) => Effect.logDebug("figures of other replicas not received", error)),
    Effect.retry(Schedule.spaced(interval)),
    Effect.forkScoped
  )

  const replicas: Replicas = {
    name,
    publish: (figures) =>
      encode({ ...figures, problems: figures.problems.slice(0, 3) }).pipe(
        Effect.flatMap((payload) => pubsub.publish(channel, payload)),
        Effect.ignoreCause({ log: "Debug", message: "figures of this replica not published" })
      ),
    others: Effect.map(MonotonicClock.millis, (now) => {
      for (const [other, { at }] of heard) if (now - at > silentAfter) heard.delete(other)
      return [...heard.values()].map(({ figures }) => figures)
    })
  }
  return replicas
})
