/**
 * Sends the service's traces by OTLP over HTTP to the configured collector.
 *
 * - Without an address no span is created, and no code of OpenTelemetry is loaded.
 * - A trace is sampled as a whole, by its id: no caller can get a larger part of its traces sampled than the ratio.
 * - Long connections and health checks have no span; each report is its own trace.
 * - No attribute contains a secret, by the rules of {@link Redaction}. Of an error only the kind is recorded, because
 *   messages of a database repeat its data.
 * - Closing the layer sends the pending spans within three seconds. Spans that could not be sent are logged.
 */
import { Effect, Layer, References } from "effect"
import { HttpMiddleware } from "effect/http"

export interface Options {
  /** The address of a collector, to which `/v1/traces` is appended. Without it there is no tracing. */
  readonly endpoint: string | undefined
  /** The fraction of all traces that is sampled, from 0 to 1. */
  readonly sampleRatio: number
}

export const layer = ({ endpoint, sampleRatio }: Options): Layer.Layer<never> =>
  endpoint === undefined
    ? // making spans costs a fifth of a report
      Layer.succeed(References.TracerEnabled, false)
    : Layer.merge(
        Layer.unwrap(
          Effect.map(
            Effect.promise(() => import("./internal/otlp.ts")),
            (otlp) => otlp.layer({ endpoint, sampleRatio })
          )
        ),
        Layer.succeed(
          HttpMiddleware.TracerDisabledWhen,
          ({ headers, url }) => headers["upgrade"] !== undefined || untold.has(url)
        )
      )

const untold: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/metrics"])
