/** The figures of a replica, as all others see them. */
import { Schema } from "effect"

/** The figures whose sums are those of all replicas. */
export const Work = Schema.Struct({
  agents: Schema.Finite,
  /** Updates accepted per second. */
  updates: Schema.Finite,
  /** Rows written per second. */
  rows: Schema.Finite,
  pending: Schema.Finite
})
export type Work = typeof Work.Type

export const Figures = Schema.Struct({
  /** Its host and its process. */
  name: Schema.String,
  /** In seconds. */
  uptime: Schema.Finite,
  ...Work.fields,
  /** The problems in words; empty when it is healthy. */
  problems: Schema.Array(Schema.String)
})
export type Figures = typeof Figures.Type
