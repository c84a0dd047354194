/** Defines counters that only grow, and gives metrics a label with few values. */
import { Effect, Metric } from "effect"

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

/** Shows counters from zero on, so that their first increase is visible. */
export const fromZero = (counters: Iterable<Metric.Metric<number, Metric.CounterState<number>>>): Effect.Effect<void> =>
  Effect.forEach(counters, (counter) => Metric.update(counter, 0), { discard: true })
