/** The terms in which the benchmark and a process with a coordinator speak to each other. */
import { Schema } from "effect"

/** The part of a process in the work: its peers are those whose number fits its own. */
export const Settings = Schema.fromJsonString(
  Schema.Struct({
    replica: Schema.Int,
    replicas: Schema.Int,
    agents: Schema.Int,
    clients: Schema.Int,
    tunnelsPerClient: Schema.Int,
    /** Without one the coordinator keeps everything in memory. */
    databaseUrl: Schema.optionalKey(Schema.String)
  })
)
export type Settings = typeof Settings.Type

export const statePath = "/state"
export const pacePath = "/pace"

export const State = Schema.Struct({
  peers: Schema.Int,
  /** Nodes that its peers were told. */
  told: Schema.Int,
  /** Of the heap, for each peer with its tunnels and the nodes that it was told. */
  bytesPerPeer: Schema.Finite
})
export type State = typeof State.Type

export const Outcome = Schema.Struct({
  updates: Schema.Int,
  millis: Schema.Finite,
  cpuMillis: Schema.Finite,
  /** From a peer's update to its partner, in milliseconds and in order. */
  latencies: Schema.Array(Schema.Finite)
})
export type Outcome = typeof Outcome.Type
