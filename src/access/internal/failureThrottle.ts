/**
 * Delays the responses to an address that shows many wrong tokens: ten a second, and a burst of fifty, are not delayed.
 *
 * Valid tokens are never delayed, because all clients behind a proxy have one address.
 */
import { Clock, Effect } from "effect"
import * as MonotonicClock from "../../platform/MonotonicClock.ts"

const intervalMillis = 100
const burst = 50
const maxDelayMillis = 2_000

/** The most addresses that are remembered. */
const maxAddresses = 10_000

export const make = Effect.map(Clock.Clock, (clock) => {
  /** The time at which the next failure of an address is due at the free rate; the least recent address first. */
  const theoreticalArrivals = new Map<string, number>()

  /** Counts a failure, and waits for the delay of its response. */
  return (address: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const now = MonotonicClock.millisUnsafe(clock)
      const latest = now + burst * intervalMillis + maxDelayMillis
      const arrival = Math.min(Math.max(theoreticalArrivals.get(address) ?? 0, now) + intervalMillis, latest)
      theoreticalArrivals.delete(address)
      theoreticalArrivals.set(address, arrival)
      if (theoreticalArrivals.size > maxAddresses) theoreticalArrivals.delete(theoreticalArrivals.keys().next().value!)
      const delay = arrival - now - burst * intervalMillis
      return delay > 0 ? Effect.sleep(delay) : Effect.void
    })
})
