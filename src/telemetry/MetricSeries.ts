/** The metrics of a registry as data, which another process can add to its own. */
import { Context, Metric } from "effect"
import * as MetadataStoreMetrics from "../metadata/MetadataStoreMetrics.ts"
import * as PubSubMetrics from "../pubsub/PubSubMetrics.ts"

/** One series of a metric with its state, and its key in a registry. */
export type Series = Metric.Metric.Snapshot & { readonly key: string }

/** Returns the present states of all series. */
export const read = (context: Context.Context<never>): ReadonlyArray<Series> =>
  Array.from(Context.get(context, Metric.MetricRegistry), ([key, { hooks, ...meta }]): Series => ({
    key,
    ...meta,
    state: hooks.get(context)
  }))

/** Returns a context in which every metric has the state of its series, for ever. */
export const toContext = (series: ReadonlyArray<Series>): Context.Context<never> => {
  const registry: Metric.MetricRegistry = new Map()
  for (const { key, state, ...meta } of series) {
    registry.set(key, { ...meta, hooks: { get: () => state, update: ignore, modify: ignore } })
  }
  return Context.make(Metric.MetricRegistry, registry)
}

const ignore = () => {}

/** The name of the label that tells the workers of a service apart. */
const label = "worker"

/** Metrics that every process measures of the same thing. */
const measuredByAll = new Set([PubSubMetrics.connected.id, MetadataStoreMetrics.nodesAway.id])

/** Returns whether a series describes one process, so that a sum of several would mean nothing. */
const isOfProcess = ({ id, type }: Series) => id.startsWith("process_") || measuredByAll.has(id) || type === "Summary"

/**
 * Returns the sums of the series of several processes, by their names. A series that describes one process stays by itself,
 * with the name of the process as its label `worker`.
 */
export const sum = (parts: ReadonlyMap<string, ReadonlyArray<Series>>): ReadonlyArray<Series> => {
  const sums = new Map<string, Series>()
  for (const [name, all] of parts) {
    for (const series of all) {
      const one = isOfProcess(series) ? labelled(series, name) : series
      const other = sums.get(one.key)
      sums.set(one.key, other === undefined ? one : add(other, one))
    }
  }
  return [...sums.values()]
}

const labelled = (series: Series, worker: string): Series => ({
  ...series,
  key: JSON.stringify([series.key, worker]),
  attributes: { ...series.attributes, [label]: worker }
})

const add = (a: Series, b: Series): Series => {
  if (a.type === "Counter" && b.type === "Counter") {
    return { ...a, state: { ...a.state, count: Number(a.state.count) + Number(b.state.count) } }
  }
  if (a.type === "Gauge" && b.type === "Gauge") {
    return { ...a, state: { value: Number(a.state.value) + Number(b.state.value) } }
  }
  if (a.type === "Frequency" && b.type === "Frequency") {
    const occurrences = new Map(a.state.occurrences)
    for (const [word, count] of b.state.occurrences) occurrences.set(word, (occurrences.get(word) ?? 0) + count)
    return { ...a, state: { occurrences } }
  }
  return a.type === "Histogram" && b.type === "Histogram" ? { ...a, state: addHistograms(a.state, b.state) } : b
}

// a metric has the same bounds in every process
const addHistograms = (a: Metric.HistogramState, b: Metric.HistogramState): Metric.HistogramState => ({
  buckets: a.buckets.map(([bound, count], index) => [bound, count + b.buckets[index]![1]]),
  count: a.count + b.count,
  sum: a.sum + b.sum,
  min: a.count === 0 ? b.min : b.count === 0 ? a.min : Math.min(a.min, b.min),
  max: a.count === 0 ? b.max : b.count === 0 ? a.max : Math.max(a.max, b.max)
})

/** Returns the series of a process that has ended whose figures still count: all that only grow, and are of no process. */
export const lasting = (series: ReadonlyArray<Series>): ReadonlyArray<Series> =>
  series.filter((one) => one.type !== "Gauge" && !isOfProcess(one))
