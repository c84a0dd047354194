/** The changes of this replica: those that are to be handed to the writer, and those that are not written yet. */
import type { Change, PeerChange, TunnelChange } from "../CoordinatorStore.ts"
import type { PeerId } from "../Peer.ts"

export class Outbox {
  readonly #peers = new Map<PeerId, PeerChange>()
  readonly #tunnels = new Map<string, TunnelChange>()
  #changes: Array<Change> = []

  hasPeer(id: PeerId): boolean {
    return this.#peers.has(id)
  }

  hasTunnel(source: PeerId, target: PeerId): boolean {
    return this.#tunnels.has(keyOf(source, target))
  }

  addPeer(change: PeerChange): void {
    this.#peers.set(change.id, change)
    this.#changes.push(change)
  }

  addTunnel(source: PeerId, target: PeerId, isOpen: boolean): void {
    const change: TunnelChange = { _tag: "tunnel", source, target, isOpen }
    this.#tunnels.set(keyOf(source, target), change)
    this.#changes.push(change)
  }

  /** The changes since the last call. */
  take(): ReadonlyArray<Change> {
    const changes = this.#changes
    if (changes.length > 0) this.#changes = []
    return changes
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
