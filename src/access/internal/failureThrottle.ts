/**
 * Delays the responses to wrong tokens of an address that shows many: ten a second, and fifty at once, are free.
 *
 * Valid tokens are never delayed: behind a proxy all clients have one address.
 */
import { Clock, Effect } from "effect"

const intervalMillis = 100
const burst = 50
const maxDelayMillis = 2_000

/** Addresses that are remembered. */
const maxAddresses = 10_000

export const make = Effect.map(Clock.Clock, (clock) => {
  /** The time at which the next failure of an address is due at the free rate; the least recent address first. */
  const theoreticalArrivals = new Map<string, number>()

  /** Counts a failure and waits for as long as its response is to be delayed. */
  return (address: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const now = Number(clock.monotonicTimeNanosUnsafe()) / 1e6
      const latest = now + burst * intervalMillis + maxDelayMillis
      const arrival = Math.min(Math.max(theoreticalArrivals.get(address) ?? 0, now) + intervalMillis, latest)
      theoreticalArrivals.delete(address)
      theoreticalArrivals.set(address, arrival)
      if (theoreticalArrivals.size > maxAddresses) theoreticalArrivals.delete(theoreticalArrivals.keys().next().value!)
      const delay = arrival - now - burst * intervalMillis
      return delay > 0 ? Effect.sleep(delay) : Effect.void
    })
})
