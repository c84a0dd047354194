/**
 * Counts failures of store operations, of agents' calls and of HTTP requests. The overview, the status command and the
 * alerts read the same counters.
 */
import { type Context, type Effect, Metric } from "effect"
import { counter, fromZero } from "../domain/Counters.ts"

export const reasons = ["rejected", "unavailable", "cancelled"] as const

const storeFailures = counter(
  "metadata_batcher_store_failures_total",
  "Operations of stores that failed, by operation and reason."
)

const failedCalls = counter(
  "metadata_batcher_failed_calls_total",
  "Calls of agents that failed, by call and reason; invalid requests are the fault of the agent."
)

const httpResponses = counter("metadata_batcher_http_responses_total", "HTTP responses by status.")

/** Counts a failed store operation. */
export const storeFailed = (operation: string, reason: (typeof reasons)[number]): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(storeFailures, { operation, reason }), 1)

/** Counts a failed call of an agent. */
export const callFailed = (call: string, reason: string): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(failedCalls, { call, reason }), 1)

/** Counts an HTTP response. */
export const responded = (status: number): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(httpResponses, { status: String(status) }), 1)

/** Registers the counters at zero, so that the first failure is visible as an increase. */
export const register = (calls: Iterable<string>): Effect.Effect<void> =>
  fromZero([
    ...reasons.map((reason) => Metric.withAttributes(storeFailures, { operation: "use the store", reason })),
    ...[...calls].map((call) => Metric.withAttributes(failedCalls, { call, reason: "Unavailable" })),
    ...["200", "401", "500", "503"].map((status) => Metric.withAttributes(httpResponses, { status }))
  ])

/** The failures that the service or its dependencies caused. */
export interface Totals {
  readonly store: number
  readonly calls: number
  readonly requests: number
}

/** Returns the number of failures so far. */
export const totals = (context: Context.Context<never>): Totals => {
  const found = { store: 0, calls: 0, requests: 0 }
  for (const { attributes = {}, id, state } of Metric.snapshotUnsafe(context)) {
    const count = Number((state as { readonly count?: number | bigint }).count ?? 0)
    if (id === storeFailures.id && attributes["reason"] !== "cancelled") found.store += count
    if (id === failedCalls.id && attributes["reason"] !== "InvalidRequest") found.calls += count
    if (id === httpResponses.id && Number(attributes["status"]) >= 500) found.requests += count
  }
  return found
}
