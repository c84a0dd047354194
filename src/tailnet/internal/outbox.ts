/** The changes of this replica that are not written yet: the newest of each peer and tunnel. */
import type { Change, PeerChange, TunnelChange } from "../CoordinatorStore.ts"
import type { PeerId } from "../Peer.ts"

export class Outbox {
  readonly #peers = new Map<PeerId, PeerChange>()
  readonly #tunnels = new Map<string, TunnelChange>()
  // those that were not taken yet
  readonly #waitingPeers = new Map<PeerId, PeerChange>()
  readonly #waitingTunnels = new Map<string, TunnelChange>()

  hasPeer(id: PeerId): boolean {
    return this.#peers.has(id)
  }

  hasTunnel(source: PeerId, target: PeerId): boolean {
    return this.#tunnels.has(keyOf(source, target))
  }

  addPeer(change: PeerChange): void {
    this.#peers.set(change.id, change)
    this.#waitingPeers.set(change.id, change)
  }

  addTunnel(source: PeerId, target: PeerId, isOpen: boolean): void {
    const change: TunnelChange = { _tag: "tunnel", source, target, isOpen }
    const key = keyOf(source, target)
    this.#tunnels.set(key, change)
    this.#waitingTunnels.set(key, change)
  }

  /**
   * Takes changes that were not taken yet, at most `most`. Peers come before tunnels, so that many tunnels of one peer do
   * not hold up the nodes of others.
   */
  take(most: number): ReadonlyArray<Change> {
    const peers = takeFrom(this.#waitingPeers, most)
    return [...peers, ...takeFrom(this.#waitingTunnels, most - peers.length)]
  }

  /** A change was written; a later one of the same peer or tunnel remains. */
  written(change: Change): void {
    if (change._tag === "tunnel") {
      const key = keyOf(change.source, change.target)
      if (this.#tunnels.get(key) === change) this.#tunnels.delete(key)
    } else if (this.#peers.get(change.id) === change) {
      this.#peers.delete(change.id)
    }
  }
}

export const keyOf = (source: PeerId, target: PeerId): string => `${source},${target}`

/** The peer or the tunnel that a change is of. */
export const keyOfChange = (change: Change): string =>
  change._tag === "peer" ? change.id : keyOf(change.source, change.target)

/** Removes entries from a map or a set, the oldest first and at most `most`, and returns their values. */
export const takeFrom = <K, A>(
  from: { readonly entries: () => Iterable<readonly [K, A]>; readonly delete: (key: K) => boolean },
  most: number
): ReadonlyArray<A> => {
  const taken: Array<A> = []
  for (const [key, value] of from.entries()) {
    if (taken.length >= most) break
    from.delete(key)
    taken.push(value)
  }
  return taken
}
