/** Tests that count by metrics, beside others that count by the same ones. */
import { Effect, Metric } from "effect"

/** Gives an effect metrics of its own, anew each time that it runs. */
export const isolated = Effect.provideServiceEffect(
  Metric.MetricRegistry,
  Effect.sync(() => new Map())
)
