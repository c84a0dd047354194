/** Metrics of connections in the original's protocol. */
import { Metric } from "effect"

/** Sessions and streams that were ended because of what the client did, by the reason. */
export const violations = Metric.counter("metadata_batcher_wire_violations_total", {
  description: "Sessions and streams that ended because the client broke the protocol or a limit, by scope and reason.",
  incremental: true
})

/** Streams that were refused because their session had too many. */
export const refusedStreams = Metric.counter("metadata_batcher_wire_refused_streams_total", {
  description: "Streams that were refused because their session had too many.",
  incremental: true
})
