/**
 * Limits how often agents may call: the generic cell rate algorithm, with one bucket per agent.
 *
 * - An agent may make `callsPerSecond` calls a second over all its connections, and a burst of one second's calls after
 *   a pause.
 * - A call beyond the limit does not fail: the service reads the connection more slowly, so that further calls wait in
 *   the network.
 * - Time is monotonic.
 * - An agent that disconnects while it is over its limit is still over it when it reconnects.
 */
import { Clock, Effect, type Scope } from "effect"
import * as LeanScope from "../platform/LeanScope.ts"
import type { AgentId } from "../domain/Ids.ts"
import * as MonotonicClock from "../platform/MonotonicClock.ts"

export interface RateLimiter {
  /** Counts calls: one, or a fraction of one. */
  readonly consumeUnsafe: (calls?: number) => void
  /** Whether the agent may call. */
  readonly isReadyUnsafe: () => boolean
  /** Waits until the agent may call again. */
  readonly ready: Effect.Effect<void>
}

interface Bucket {
  /** The time at which the next call is due at the allowed rate. */
  theoreticalArrival: number
  connections: number
}

/** Makes the limiters of all connected agents, and of agents that disconnected over their limit. */
export const make = <Id = AgentId>(callsPerSecond: number) =>
  Effect.map(Clock.Clock, (clock) => {
    const interval = 1_000 / callsPerSecond
    const nowMillis = () => MonotonicClock.millisUnsafe(clock)
    const buckets = new Map<Id, Bucket>()
    const overLimit = new Set<Id>()

    const evictIdle = (now: number) => {
      for (const agentId of overLimit) {
        const bucket = buckets.get(agentId)
        if (bucket?.connections === 0 && bucket.theoreticalArrival > now) continue
        overLimit.delete(agentId)
        if (bucket?.connections === 0) buckets.delete(agentId)
      }
    }

    const enter = (agentId: Id) =>
      Effect.sync(() => {
        evictIdle(nowMillis())
        const bucket = buckets.get(agentId) ?? { theoreticalArrival: 0, connections: 0 }
        buckets.set(agentId, bucket)
        bucket.connections++
        return bucket
      })

    const leave = (agentId: Id, bucket: Bucket) =>
      Effect.sync(() => {
        bucket.connections--
        overLimit.add(agentId)
        evictIdle(nowMillis())
      })

    /** Returns the limiter of an agent, for one connection. */
    return Effect.fnUntraced(function* (agentId: Id): Effect.fn.Return<RateLimiter, never, Scope.Scope> {
      const bucket = yield* LeanScope.acquireRelease(enter(agentId), (bucket) => leave(agentId, bucket))
      return new Limiter(bucket, interval, nowMillis)
    })
  })

// a class: each connection has a limiter
class Limiter implements RateLimiter {
  readonly #bucket: Bucket
  readonly #interval: number
  readonly #nowMillis: () => number

  constructor(bucket: Bucket, interval: number, nowMillis: () => number) {
    this.#bucket = bucket
    this.#interval = interval
    this.#nowMillis = nowMillis
  }

  consumeUnsafe(calls = 1) {
    const bucket = this.#bucket
    bucket.theoreticalArrival = Math.max(bucket.theoreticalArrival, this.#nowMillis()) + calls * this.#interval
  }

  isReadyUnsafe() {
    return this.#excessMillis() <= 0
  }

  get ready() {
    return Effect.suspend(() => {
      const excess = this.#excessMillis()
      return excess > 0 ? Effect.sleep(MonotonicClock.wholeMicros(excess)) : Effect.void
    })
  }

  #excessMillis() {
    return this.#bucket.theoreticalArrival - this.#nowMillis() - 1_000
  }
}
