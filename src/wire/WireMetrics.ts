/** Metrics of connections in the original's protocol. */
import { counter } from "../domain/Counters.ts"

/** Connections, sessions and streams that were ended because of what the client did, by the reason. */
export const violations = counter(
  "metadata_batcher_wire_violations_total",
  "Connections, sessions and streams that ended because the client broke the protocol or a limit, by scope and reason."
)

/** Streams that were refused because their session had too many. */
export const refusedStreams = counter(
  "metadata_batcher_wire_refused_streams_total",
  "Streams that were refused because their session had too many."
)
