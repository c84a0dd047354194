/**
 * Collects what clients report of their connections, and hands it on in batches.
 *
 * - A batch is handed on after a minute, or as soon as it has 1 000 events.
 * - Events that find no room, or whose batch the handler does not take, are lost and counted.
 * - Without a handler events are counted and no more.
 */
import { Context, type Duration, Effect, Layer, Metric, type Scope } from "effect"
import * as Accumulator from "../batcher/Accumulator.ts"
import * as Batcher from "../batcher/Batcher.ts"
import type { TelemetryEvent } from "../wire/generated/tailnet_pb.ts"
import * as Metrics from "./TailnetMetrics.ts"

/** The port that takes the events, where someone wants them. */
export interface TelemetryHandler {
  readonly handle: (events: ReadonlyArray<TelemetryEvent>) => Effect.Effect<void, unknown>
}

export const TelemetryHandler = Context.Reference<TelemetryHandler | undefined>(
  "metadata-batcher/tailnet/TelemetryHandler",
  { defaultValue: () => undefined }
)

export interface Options {
  /** Default 1 minute. */
  readonly interval?: Duration.Input | undefined
  /** Default 1 000. */
  readonly maxBatchSize?: number | undefined
}

export class NetworkTelemetry extends Context.Service<
  NetworkTelemetry,
  { readonly post: (events: ReadonlyArray<TelemetryEvent>) => Effect.Effect<void> }
>()("metadata-batcher/tailnet/NetworkTelemetry") {}

export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<NetworkTelemetry["Service"], never, Scope.Scope> {
  const handler = yield* TelemetryHandler
  const count = (metric: Metric.Counter<number>, events: number) => Metric.update(metric, events)
  if (handler === undefined) return { post: (events) => count(Metrics.telemetryEvents.received, events.length) }

  const batcher = yield* Batcher.make({
    accumulator: Accumulator.fifo<TelemetryEvent>(),
    interval: options.interval ?? "1 minute",
    maxBatchSize: options.maxBatchSize ?? 1_000,
    write: handler.handle,
    observer: {
      onFailed: ({ cause, unwritten }) =>
        Effect.andThen(
          count(Metrics.telemetryEvents.lost, unwritten.length),
          Effect.logWarning("network telemetry was not taken", cause)
        ),
      onClosed: ({ cutOff }) => count(Metrics.telemetryEvents.lost, cutOff)
    }
  })
  return {
    post: Effect.fnUntraced(function* (events) {
      yield* count(Metrics.telemetryEvents.received, events.length)
      yield* count(Metrics.telemetryEvents.lost, yield* batcher.add(events))
    })
  }
})

export const layer = (options?: Options): Layer.Layer<NetworkTelemetry> => Layer.effect(NetworkTelemetry, make(options))
