/** Defines counters that only grow, metrics with a label of few values, and metrics that are computed when read. */
import { type Context, Effect, Metric } from "effect"

/** Returns a counter that only grows. */
export const counter = (name: string, description: string): Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true })

/** Returns one handle for each value of a label: a handle finds its series faster than its attributes are merged. */
export const byLabel = <Input, State, const Value extends string>(
  metric: Metric.Metric<Input, State>,
  label: string,
  values: ReadonlyArray<Value>
): { readonly [V in Value]: Metric.Metric<Input, State> } =>
  Object.fromEntries(values.map((value) => [value, Metric.withAttributes(metric, { [label]: value })])) as {
    [V in Value]: Metric.Metric<Input, State>
  }

/** Registers a metric whose state is computed whenever it is read. */
export const onDemand = <State>(
  metric: Metric.Metric<never, State>,
  context: Context.Context<never>,
  get: () => State
): void => {
  Metric.registerUnsafe(metric, context, { get, update: () => {}, modify: () => {} })
}

/** Shows counters from zero on, so that their first increase is visible. */
export const fromZero = (counters: Iterable<Metric.Metric<number, Metric.CounterState<number>>>): Effect.Effect<void> =>
  Effect.forEach(counters, (counter) => Metric.update(counter, 0), { discard: true })
