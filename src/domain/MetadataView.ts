/**
 * The metadata that every reader of the API gets, sorted by display order and then by key.
 *
 * Times are UTC; `age` is the whole seconds since a value was collected, `interval` and `timeout` are seconds.
 */
import { DateTime, Duration, Order, Schema } from "effect"
import type { AgentMetadata } from "./Metadata.ts"

export const MetadataView = Schema.Struct({
  result: Schema.Struct({
    collected_at: Schema.String,
    age: Schema.Int,
    value: Schema.String,
    error: Schema.String
  }),
  description: Schema.Struct({
    display_name: Schema.String,
    key: Schema.String,
    script: Schema.String,
    interval: Schema.Finite,
    timeout: Schema.Finite
  })
})
export type MetadataView = typeof MetadataView.Type

/** The view of `metadata` at `now`. */
export const make = (metadata: Iterable<AgentMetadata>, now: DateTime.Utc): ReadonlyArray<MetadataView> =>
  [...metadata].sort(byDisplayOrderThenKey).map((one) => ({
    result: {
      collected_at: DateTime.formatIso(one.collectedAt),
      age: Math.max(0, Math.floor(Duration.toSeconds(DateTime.distance(one.collectedAt, now)))),
      value: one.value,
      error: one.error
    },
    description: {
      display_name: one.displayName,
      key: one.key,
      script: one.script,
      interval: Duration.toSeconds(one.interval),
      timeout: Duration.toSeconds(one.timeout)
    }
  }))

const byDisplayOrderThenKey: Order.Order<AgentMetadata> = Order.combine(
  Order.mapInput(Order.Number, (one: AgentMetadata) => one.displayOrder),
  Order.mapInput(Order.String, (one: AgentMetadata) => one.key)
)
