/**
 * Numbers the heartbeats of this replica, and detects gaps in the numbers of every replica, and replicas that are silent.
 *
 * - All replicas send on one channel and hear each other. A gap means that messages of that replica may be missing,
 *   although no connection was lost: a cluster of brokers lost a route for a while, for example.
 * - A publication that fails takes a number, so that the gap tells the others.
 * - The first heartbeat of a replica counts as a gap unless it is that replica's very first.
 * - A replica may write without being heard: it is silent while no heartbeat of it arrives from one look to the next. One
 *   that stays silent has ended, and is forgotten after a dozen looks.
 */
import type { Heartbeats } from "./listenerSession.ts"

export interface NumberedHeartbeats extends Heartbeats {
  /** Takes a number without sending it. */
  readonly skip: () => void
  /** Looks for replicas of which no heartbeat has arrived since the last look. Returns whether there are any. */
  readonly isAnySilent: () => boolean
}

interface Replica {
  /** The number of its next heartbeat. */
  next: number
  /** The looks since its last heartbeat. */
  looks: number
}

/** The looks after which a replica that stays silent is forgotten. */
const maxLooks = 12

/** The most replicas that are remembered; beyond that the one that was heard least recently is forgotten. */
const maxReplicas = 1_024

/** Numbers the heartbeats of `replica`, a name without blanks. */
export const make = (channel: string, replica: string): NumberedHeartbeats => {
  let number = 0
  const replicas = new Map<string, Replica>()
  return {
    channel,
    next: () => `${replica} ${number++}`,
    skip: () => void number++,
    isAnySilent: () => {
      let isAny = false
      for (const [sender, replica] of replicas) {
        replica.looks++
        if (replica.looks > maxLooks) replicas.delete(sender)
        else if (replica.looks > 1) isAny = true
      }
      return isAny
    },
    receive: (payload) => {
      const [, sender, digits] = /^(\S{1,64}) (\d{1,15})$/.exec(payload) ?? []
      if (sender === undefined) return { isOwn: false, isGap: false }
      const received = Number(digits)
      const isGap = received > (replicas.get(sender)?.next ?? 0)
      replicas.delete(sender)
      replicas.set(sender, { next: received + 1, looks: 0 })
      if (replicas.size > maxReplicas) replicas.delete(replicas.keys().next().value!)
      return { isOwn: sender === replica, isGap }
    }
  }
}
