/** Measures how long operations wait for a connection of the database, by their share of the pool. */
import { type Context, Metric } from "effect"
import { byLabel } from "../domain/Counters.ts"

/** The shares of the pool: see `storage/internal/connection/poolShares.ts`. */
export const shares = ["logins", "heartbeats", "announcements", "writes", "calls", "readers", "background"] as const

export type Share = (typeof shares)[number]

/** The bound of the histogram above which a wait is long, in seconds. */
const long = 1

const waits = Metric.histogram("metadata_batcher_pool_wait_seconds", {
  description: "Seconds that an operation waited for a connection of the pool, by the share of the pool.",
  boundaries: [0.001, 0.01, 0.1, long, 10]
})

export const waitsByShare = byLabel(waits, "share", shares)

/** Returns how many operations have waited for more than a second. */
export const longWaits = (context: Context.Context<never>): number =>
  shares.reduce((sum, share) => {
    const { buckets, count } = waitsByShare[share].valueUnsafe(context)
    return sum + count - (buckets.find(([bound]) => bound === long)?.[1] ?? 0)
  }, 0)
