/**
 * Makes the statistics of an agent of the original acceptable. An error of `UpdateStats` would end its connection, and
 * the next one, too, because it would send the same statistics again.
 *
 * - The first names of a map and the first metrics and labels are kept, as many as the contract accepts.
 * - Metrics whose type is unknown or whose value is not a finite number are left out.
 * - Long names and labels are cut. The counts of names that are then the same are added.
 * - A count below zero becomes zero, and a latency that is not a finite number becomes -1.
 */
import { limits, metricTypes } from "../../usage/AgentStats.ts"
import type { JsonObject } from "./Conversion.ts"

/** Returns a request of which the contract accepts the statistics. */
export const acceptable = (request: JsonObject): JsonObject => {
  const stats = request["stats"] as JsonObject | undefined
  if (stats === undefined) return request
  const entries = Object.entries(stats).map(([name, value]) => [name, (fields[name] ?? count)(value)])
  return { ...request, stats: Object.fromEntries(entries) }
}

// ----- internals -----

const count = (value: unknown): number => Math.max(0, Number(value))

const counts = (byName: unknown) => {
  const kept = new Map<string, number>()
  for (const [name, value] of Object.entries(byName as JsonObject)) {
    const short = name.slice(0, limits.name)
    const before = kept.get(short)
    if (before === undefined && kept.size === limits.names) continue
    kept.set(short, Math.min(Number.MAX_SAFE_INTEGER, (before ?? 0) + count(value)))
  }
  return Object.fromEntries(kept)
}

const isAcceptable = ({ type, value }: JsonObject) =>
  metricTypes.some((known) => known === type) && Number.isFinite(value)

const metric = ({ labels, name, ...rest }: JsonObject) => ({
  ...rest,
  name: String(name).slice(0, limits.metricName),
  labels: (labels as ReadonlyArray<JsonObject>).slice(0, limits.labels).map(({ name, value }) => ({
    name: String(name).slice(0, limits.labelName),
    value: String(value).slice(0, limits.labelValue)
  }))
})

/** The fields that are not plain counts. */
const fields: { readonly [name: string]: (value: unknown) => unknown } = {
  connections_by_proto: counts,
  session_counts: counts,
  connection_median_latency_ms: (latency) => (Number.isFinite(latency) ? latency : -1),
  metrics: (metrics) => (metrics as ReadonlyArray<JsonObject>).filter(isAcceptable).slice(0, limits.metrics).map(metric)
}
