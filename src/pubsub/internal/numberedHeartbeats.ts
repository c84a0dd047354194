/**
 * Numbers the heartbeats of this replica, and detects gaps in the numbers of every replica.
 *
 * - All replicas send on one channel and hear each other. A gap means that messages of that replica may be missing,
 *   although no connection was lost: a cluster of brokers lost a route for a while, for example.
 * - A publication that fails takes a number, so that the gap tells the others.
 * - The first heartbeat of a replica counts as a gap unless it is that replica's very first.
 */
import type { Heartbeats } from "./listenerSession.ts"

export interface NumberedHeartbeats extends Heartbeats {
  /** Takes a number without sending it. */
  readonly skip: () => void
}

/** The most replicas that are remembered; beyond that the one that was heard least recently is forgotten. */
const maxReplicas = 1_024

/** Numbers the heartbeats of `replica`, a name without blanks. */
export const make = (channel: string, replica: string): NumberedHeartbeats => {
  let number = 0
  const expected = new Map<string, number>()
  return {
    channel,
    next: () => `${replica} ${number++}`,
    skip: () => void number++,
    receive: (payload) => {
      const [, sender, digits] = /^(\S{1,64}) (\d{1,15})$/.exec(payload) ?? []
      if (sender === undefined) return { isOwn: false, isGap: false }
      const received = Number(digits)
      const isGap = received > (expected.get(sender) ?? 0)
      expected.delete(sender)
      expected.set(sender, received + 1)
      if (expected.size > maxReplicas) expected.delete(expected.keys().next().value!)
      return { isOwn: sender === replica, isGap }
    }
  }
}
