/** Defines the metrics of the pubsub. Gauges change by differences, so that several pubsubs on one registry add up. */
import { Effect, Metric } from "effect"
import { byLabel, counter, fromZero } from "../domain/Counters.ts"

/** The size from which a payload counts as colossal: 95 % of the 8 000 bytes that Postgres rejects. */
export const colossalBytes = 7_600

/** Latencies in seconds, 1 ms to 16 s. */
const boundaries = Metric.exponentialBoundaries({ start: 0.001, factor: 2, count: 15 })

const publishesTotal = counter("coder_pubsub_publishes_total", "Publications by whether the database accepted them")

const subscribesTotal = counter("coder_pubsub_subscribes_total", "Subscriptions by whether they were established")

const messagesTotal = counter(
  "coder_pubsub_messages_total",
  "Messages received, by size: colossal ones are near the limit of the database"
)

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

export const messages = byLabel(messagesTotal, "size", ["normal", "colossal"])

export const sendLatencySeconds = (backend: string) => Metric.withAttributes(sendLatency, { backend })

export const receiveLatencySeconds = (backend: string) => Metric.withAttributes(receiveLatency, { backend })

export const publishedBytes = counter("coder_pubsub_published_bytes_total", "Payload bytes that the database accepted")

export const receivedBytes = counter("coder_pubsub_received_bytes_total", "Payload bytes of the messages received")

export const disconnections = counter("coder_pubsub_disconnections_total", "Listening connections that were lost")

export const connected = Metric.gauge("coder_pubsub_connected", {
  description: "1 while the listening connection is up, 0 while it is being replaced"
})

export const currentSubscribers = Metric.gauge("coder_pubsub_current_subscribers", {
  description: "Present subscriptions"
})

export const currentEvents = Metric.gauge("coder_pubsub_current_events", {
  description: "Channels with subscribers"
})

export const latencyMeasures = counter("coder_pubsub_latency_measures_total", "Latency measurements begun")

export const latencyMeasureErrors = counter(
  "coder_pubsub_latency_measure_errs_total",
  "Latency measurements that failed"
)

/** Registers all metrics at zero, so that the first increase is visible and no gauge is absent before its first use. */
export const initialize = Effect.andThen(
  fromZero([
    ...[publishes, subscribes, messages].flatMap((metrics) => Object.values(metrics)),
    publishedBytes,
    receivedBytes,
    disconnections
  ]),
  Effect.forEach([connected, currentSubscribers, currentEvents], (gauge) => Metric.modify(gauge, 0))
)
