/** Defines the metrics of the pubsub. Gauges change by differences, so that several pubsubs on one registry add up. */
import { Effect, Metric } from "effect"

/** The size from which a payload counts as colossal: 95 % of the 8 000 bytes that Postgres rejects. */
export const colossalBytes = 7_600

/** Latencies in seconds, 1 ms to 16 s. */
const boundaries = Metric.exponentialBoundaries({ start: 0.001, factor: 2, count: 15 })

const publishesTotal = Metric.counter("coder_pubsub_publishes_total", {
  description: "Publications by whether the database accepted them",
  incremental: true
})

const subscribesTotal = Metric.counter("coder_pubsub_subscribes_total", {
  description: "Subscriptions by whether they were established",
  incremental: true
})

const messagesTotal = Metric.counter("coder_pubsub_messages_total", {
  description: "Messages received, by size: colossal ones are near the limit of the database",
  incremental: true
})

const sendLatency = Metric.histogram("coder_pubsub_send_latency_seconds", {
  description: "Duration of a publication",
  boundaries
})

const receiveLatency = Metric.histogram("coder_pubsub_receive_latency_seconds", {
  description: "Time from the beginning of a publication to its arrival at a subscriber",
  boundaries
})

export const publishes = {
  succeeded: Metric.withAttributes(publishesTotal, { success: "true" }),
  failed: Metric.withAttributes(publishesTotal, { success: "false" })
}

export const subscribes = {
  succeeded: Metric.withAttributes(subscribesTotal, { success: "true" }),
  failed: Metric.withAttributes(subscribesTotal, { success: "false" })
}

export const messages = {
  normal: Metric.withAttributes(messagesTotal, { size: "normal" }),
  colossal: Metric.withAttributes(messagesTotal, { size: "colossal" })
}

export const sendLatencySeconds = (backend: string) => Metric.withAttributes(sendLatency, { backend })

export const receiveLatencySeconds = (backend: string) => Metric.withAttributes(receiveLatency, { backend })

export const publishedBytes = Metric.counter("coder_pubsub_published_bytes_total", {
  description: "Payload bytes that the database accepted",
  incremental: true
})

export const receivedBytes = Metric.counter("coder_pubsub_received_bytes_total", {
  description: "Payload bytes of the messages received",
  incremental: true
})

export const disconnections = Metric.counter("coder_pubsub_disconnections_total", {
  description: "Listening connections that were lost",
  incremental: true
})

export const connected = Metric.gauge("coder_pubsub_connected", {
  description: "1 while the listening connection is up, 0 while it is being replaced"
})

export const currentSubscribers = Metric.gauge("coder_pubsub_current_subscribers", {
  description: "Present subscriptions"
})

export const currentEvents = Metric.gauge("coder_pubsub_current_events", {
  description: "Channels with subscribers"
})

export const latencyMeasures = Metric.counter("coder_pubsub_latency_measures_total", {
  description: "Latency measurements begun",
  incremental: true
})

export const latencyMeasureErrors = Metric.counter("coder_pubsub_latency_measure_errs_total", {
  description: "Latency measurements that failed",
  incremental: true
})

/** Registers all metrics at zero, so that the first increase is visible and no gauge is absent before its first use. */
export const initialize = Effect.forEach(
  [
    publishes.succeeded,
    publishes.failed,
    subscribes.succeeded,
    subscribes.failed,
    messages.normal,
    messages.colossal,
    publishedBytes,
    receivedBytes,
    disconnections
  ],
  (counter) => Metric.update(counter, 0),
  { discard: true }
).pipe(
  Effect.andThen(
    Effect.forEach([connected, currentSubscribers, currentEvents], (gauge) => Metric.modify(gauge, 0), {
      discard: true
    })
  )
)
