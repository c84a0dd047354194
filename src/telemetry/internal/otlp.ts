/** Exports spans with OpenTelemetry. Only {@link Tracing} loads this module, when a collector is configured. */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import type { Attributes } from "@opentelemetry/api"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type SpanExporter,
  TraceIdRatioBasedSampler
} from "@opentelemetry/sdk-trace-base"
import { Effect, type Layer } from "effect"
import * as Redaction from "../Redaction.ts"

export const layer = ({
  endpoint,
  sampleRatio
}: {
  readonly endpoint: string
  readonly sampleRatio: number
}): Layer.Layer<never> =>
  NodeSdk.layer(
    Effect.map(Effect.context<never>(), (context) => {
      const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, "")}/v1/traces` })
      const sampler = new TraceIdRatioBasedSampler(sampleRatio)
      const onLost = (spans: number, error: Error | undefined) =>
        Effect.runForkWith(context)(
          Effect.annotateLogs(Effect.logWarning("spans not sent", error?.message ?? ""), { spans })
        )
      return {
        spanProcessor: new BatchSpanProcessor(redacting(exporter, onLost)),
        tracerConfig: {
          sampler: new ParentBasedSampler({
            root: sampler,
            remoteParentSampled: sampler,
            remoteParentNotSampled: sampler
          })
        },
        resource: { serviceName: "metadata-batcher" }
      }
    })
  )

/** Sends spans without secrets. The spans have ended, so that changing them affects nothing else. */
const redacting = (
  exporter: SpanExporter,
  onLost: (spans: number, error: Error | undefined) => void
): SpanExporter => ({
  export: (spans, done) => {
    spans.forEach(redact)
    exporter.export(spans, (result) => {
      if (result.code !== 0) onLost(spans.length, result.error)
      // the loss is logged; reporting it as a failure would make the closing of the layer die
      done({ code: 0 })
    })
  },
  forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  shutdown: () => exporter.shutdown()
})

const redact = ({ attributes, events, links, status }: ReadableSpan): void => {
  redactAttributes(attributes)
  delete status.message
  for (const { attributes = {} } of [...events, ...links]) redactAttributes(attributes)
}

const redactAttributes = (attributes: Attributes): void => {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "exception.message" || name === "exception.stacktrace") delete attributes[name]
    else if (typeof value === "string") attributes[name] = String(Redaction.named(name, value))
    else if (Array.isArray(value)) attributes[name] = value.map((part) => String(Redaction.named(name, part)))
  }
}
