/**
 * Divides the connections of one pool into shares, so that the operations of one share cannot keep those of another
 * from the database.
 *
 * - An operation holds a permit of its share and uses at most one connection at a time. The permits of all shares
 *   together are as many as the connections, so an operation with a permit never waits for another share.
 * - A pool of fewer connections than shares has one permit for each share: an operation waits for at most one operation
 *   of each other share, however many of these wait. A pool of one connection serves the shares in turn.
 * - There is one pool instead of a pool for each share: the configured size holds whatever the shares do, any
 *   connection serves any share, and a failure that one share detects makes all connections suspect.
 * - Permits belong to this process and to no connection, so a transaction pooler in between changes nothing.
 * - Logins, heartbeats, announcements, writes and background work (statistics, usage, retention) send one statement for
 *   many requests, so one or two connections are enough for any number of agents. Calls of agents and people's reads
 *   have all that is left.
 * - Each wait is measured, also that of an operation that gives up.
 */
import { Effect, Metric, Semaphore } from "effect"
import * as MonotonicClock from "../../../platform/MonotonicClock.ts"
import { type Share, shares, waitsByShare } from "../../../telemetry/PoolMetrics.ts"

/** Runs an operation once it has a permit. */
export type InShare = <A, E, R>(operation: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export type PoolShares = { readonly [S in Share]: InShare }

/** Returns the permits of each share in a pool of a size. */
export const permitsOf = (maxConnections: number): { readonly [S in Share]: number } => {
  const spare = Math.max(0, maxConnections - shares.length)
  const logins = spare < 5 ? 0 : 1
  const readers = Math.floor((spare + 1) / 4)
  return {
    logins: 1 + logins,
    heartbeats: 1,
    announcements: 1,
    writes: 1,
    background: 1,
    readers: 1 + readers,
    calls: 1 + spare - logins - readers
  }
}

export const make = (maxConnections: number): PoolShares => {
  const permits = permitsOf(maxConnections)
  const connections = Semaphore.makeUnsafe(maxConnections)
  const inShare = (share: Share): InShare => {
    const own = Semaphore.makeUnsafe(permits[share])
    return (operation) =>
      Effect.clockWith((clock) => {
        const start = MonotonicClock.millisUnsafe(clock)
        let isWaiting = true
        const record = Effect.suspend(() => {
          if (!isWaiting) return Effect.void
          isWaiting = false
          return Metric.update(waitsByShare[share], (MonotonicClock.millisUnsafe(clock) - start) / 1_000)
        })
        return Effect.ensuring(own.withPermit(connections.withPermit(Effect.andThen(record, operation))), record)
      })
  }
  return {
    logins: inShare("logins"),
    heartbeats: inShare("heartbeats"),
    announcements: inShare("announcements"),
    writes: inShare("writes"),
    calls: inShare("calls"),
    readers: inShare("readers"),
    background: inShare("background")
  }
}
