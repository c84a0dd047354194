/**
 * The rules of a coordinator that shares a store with those of other replicas.
 *
 * - The updates of a peer follow from one comparison: of its last update with the row of its partner. The row of a
 *   peer of this replica changes at once, so that peers of one replica find each other without the store.
 * - A change of this replica that is not written yet, or was written after a reading began, stands above what is read.
 * - A row of a replica that is not alive counts as lost.
 * - Of the tunnels, those with an end at a peer of this replica are known.
 */
import type { ReplicaId } from "../../domain/Ids.ts"
import type { Change, PeerRow, TunnelRow } from "../CoordinatorStore.ts"
import { isSameNode, isSameNodeAtAnyTime, type Node, type PeerId, type PeerUpdate } from "../Peer.ts"
import { closing, Core, type EndReason, type LocalPeer, type Outputs, tell, update } from "./core.ts"
import { keyOf, keyOfChange, Outbox, takeFrom } from "./outbox.ts"

interface Row {
  readonly replicaId: ReplicaId
  readonly status: "ok" | "lost"
  readonly node: Node
  readonly startedAt: number
  readonly changedAt: number
}

export interface Handshake {
  readonly to: PeerId
  readonly from: PeerId
}

export class ReplicatedCore extends Core {
  readonly #self: ReplicaId
  readonly #now: () => number
  /** The peers of this replica, and the partners of them. */
  readonly #rows = new Map<PeerId, Row>()
  readonly #alive = new Map<ReplicaId, boolean>()
  readonly #outbox = new Outbox()
  #handshakes: Array<Handshake> = []
  readonly #staleRows = new Set<PeerId>()
  readonly #staleTunnels = new Set<PeerId>()
  /** The peers and tunnels that were written since the reading under way began, which may not have seen that. */
  #writtenMeanwhile: Set<string> | undefined

  constructor(self: ReplicaId, now: () => number) {
    super()
    this.#self = self
    this.#now = now
  }

  // ----- transitions of peers -----

  override updateNode(peer: LocalPeer, node: Node): Outputs {
    if (!this.isOpen(peer)) return []
    const isOwn = this.#rows.get(peer.id)?.replicaId === this.#self
    if (isOwn && peer.node !== undefined && isSameNodeAtAnyTime(peer.node, node)) return []
    peer.node = node
    this.#setOwnRow(peer, "ok")
    return this.#comparePartners(peer.id)
  }

  override addTunnel(peer: LocalPeer, to: PeerId): Outputs {
    if (!this.isOpen(peer) || to === peer.id) return []
    if (this.tunnels.add(peer.id, to)) {
      this.#outbox.addTunnel(peer.id, to, true)
      if (!this.#rows.has(to)) this.#staleRows.add(to)
    }
    return this.#comparePair(peer.id, to)
  }

  override removeTunnel(peer: LocalPeer, to: PeerId): Outputs {
    if (!this.isOpen(peer) || !this.tunnels.remove(peer.id, to)) return []
    this.#outbox.addTunnel(peer.id, to, false)
    const outputs = this.#comparePair(peer.id, to)
    this.#forget(to)
    return outputs
  }

  override lose(peer: LocalPeer, end: EndReason): Outputs {
    if (!this.isOpen(peer)) return []
    this.peers.delete(peer.id)
    const row = this.#rows.get(peer.id)
    if (row?.replicaId === this.#self) this.#setOwnRow(peer, "lost", row.node)
    const outputs = this.#comparePartners(peer.id)
    this.#prune(peer.id)
    return [...outputs, { to: peer, end }]
  }

  override close(error: string, end: EndReason): Outputs {
    const peers = [...this.peers.values()]
    return peers.flatMap((peer): Outputs => {
      this.lose(peer, end)
      return closing(peer, error, end)
    })
  }

  // ----- news from the store and from other replicas -----

  beginReading(): void {
    this.#writtenMeanwhile = new Set()
  }

  endReading(): void {
    this.#writtenMeanwhile = undefined
  }

  /** Takes what was read of peers; those of `ids` without a row have none. */
  applyPeers(ids: ReadonlyArray<PeerId>, found: ReadonlyArray<PeerRow>): Outputs {
    const byId = new Map(found.map((row) => [row.id, row]))
    return ids.flatMap((id) => {
      if (this.#writtenMeanwhile?.has(id)) {
        this.#staleRows.add(id)
        return []
      }
      this.#applyPeer(id, byId.get(id))
      const outputs = this.#comparePartners(id)
      this.#forget(id)
      return outputs
    })
  }

  /** Takes what was read of the tunnels at `ids`. */
  applyTunnels(ids: ReadonlyArray<PeerId>, found: ReadonlyArray<TunnelRow>): Outputs {
    const known = new Set(found.map(({ source, target }) => keyOf(source, target)))
    const touched: Array<readonly [PeerId, PeerId]> = []
    for (const id of ids) {
      if (!this.peers.has(id)) continue
      const held = [
        ...[...this.tunnels.from(id)].map((target) => [id, target] as const),
        ...[...this.tunnels.to(id)].map((source) => [source, id] as const)
      ]
      for (const [source, target] of held) {
        const key = keyOf(source, target)
        if (known.has(key) || this.#outbox.hasTunnel(source, target) || this.#isOvertaken(source, target)) continue
        this.tunnels.remove(source, target)
        touched.push([source, target])
      }
    }
    for (const { source, target } of found) {
      if (!this.peers.has(source) && !this.peers.has(target)) continue
      if (this.#outbox.hasTunnel(source, target) || this.#isOvertaken(source, target)) continue
      if (!this.tunnels.add(source, target)) continue
      touched.push([source, target])
      for (const end of [source, target]) if (!this.#rows.has(end)) this.#staleRows.add(end)
    }
    const outputs = touched.flatMap(([source, target]) => this.#comparePair(source, target))
    for (const pair of touched) for (const id of pair) this.#forget(id)
    return outputs
  }

  /** Takes which replicas are alive. */
  setAlive(alive: ReadonlyMap<ReplicaId, boolean>): Outputs {
    const changed = new Set<ReplicaId>()
    for (const [id, isAlive] of alive) {
      if (this.#alive.get(id) !== isAlive) changed.add(id)
      this.#alive.set(id, isAlive)
    }
    const outputs: Outputs = []
    for (const [id, { replicaId }] of this.#rows) {
      if (changed.has(replicaId)) outputs.push(...this.#comparePartners(id))
    }
    return outputs
  }

  knownReplicas(): ReadonlyMap<ReplicaId, boolean> {
    return this.#alive
  }

  /** Other replicas have changed these peers. */
  peersChanged(ids: ReadonlyArray<PeerId>): void {
    for (const id of ids) if (this.#rows.has(id) || this.tunnels.partners(id).size > 0) this.#staleRows.add(id)
  }

  /** Other replicas have changed the tunnels of these peers. */
  tunnelsChanged(ids: ReadonlyArray<PeerId>): void {
    for (const id of ids) if (this.peers.has(id)) this.#staleTunnels.add(id)
  }

  /** Everything may have changed. */
  resync(): void {
    for (const id of this.peers.keys()) this.#staleTunnels.add(id)
    for (const id of this.#rows.keys()) this.#staleRows.add(id)
  }

  handshake({ from, to }: Handshake): Outputs {
    const peer = this.peers.get(to)
    if (peer === undefined || !this.tunnels.joins(from, to)) return []
    return tell(peer, [update(from, "readyForHandshake", "")])
  }

  /** Changes were written; of the peers, the `accepted` ones took effect. */
  written(changes: ReadonlyArray<Change>, accepted: ReadonlyArray<PeerId>): void {
    const took = new Set(accepted)
    for (const change of changes) {
      this.#outbox.written(change)
      this.#writtenMeanwhile?.add(keyOfChange(change))
      if (change._tag === "tunnel") continue
      if (!took.has(change.id) && change.status !== "gone") this.#staleRows.add(change.id)
      this.#forget(change.id)
    }
  }

  // ----- work for the shell -----

  takeChanges(most: number): ReadonlyArray<Change> {
    return this.#outbox.take(most)
  }

  takeHandshakes(): ReadonlyArray<Handshake> {
    const handshakes = this.#handshakes
    this.#handshakes = []
    return handshakes
  }

  /** Takes what is to be read, at most `most` ids. */
  takeStale(most: number): { readonly rows: ReadonlyArray<PeerId>; readonly tunnels: ReadonlyArray<PeerId> } {
    const tunnels = takeFrom(this.#staleTunnels, most)
    return { tunnels, rows: takeFrom(this.#staleRows, most - tunnels.length) }
  }

  /** When the node was taken that partners of a peer were told last, if another replica took it. */
  remoteChangeOf(id: PeerId): number | undefined {
    const row = this.#rows.get(id)
    return row === undefined || row.replicaId === this.#self ? undefined : row.changedAt
  }

  // ----- inside -----

  /** Whether a tunnel was written after the reading began. Its peers are read again then. */
  #isOvertaken(source: PeerId, target: PeerId): boolean {
    const isOvertaken = this.#writtenMeanwhile?.has(keyOf(source, target)) === true
    if (isOvertaken) this.tunnelsChanged([source, target])
    return isOvertaken
  }

  #setOwnRow({ id, node, startedAt }: LocalPeer, status: "ok" | "lost", told: Node = node!) {
    const changedAt = this.#now()
    this.#rows.set(id, { replicaId: this.#self, status, node: told, startedAt, changedAt })
    this.#outbox.addPeer({ _tag: "peer", id, status, node: told.bytes, startedAt, changedAt })
  }

  protected override opened(peer: LocalPeer): ReadonlyArray<PeerUpdate> {
    this.#staleTunnels.add(peer.id)
    return [...this.tunnels.partners(peer.id)].flatMap((id) => this.#compare(peer, id))
  }

  protected override readyElsewhere(from: PeerId, to: PeerId): void {
    this.#handshakes.push({ to, from })
  }

  protected override remove(peer: LocalPeer, end: "disconnect" | "overflow"): Outputs {
    const { id, startedAt } = peer
    const partners = [...this.tunnels.partners(id)]
    this.peers.delete(id)
    for (const target of this.tunnels.from(id)) {
      this.tunnels.remove(id, target)
      this.#outbox.addTunnel(id, target, false)
    }
    const row = this.#rows.get(id)
    if (row?.replicaId === this.#self || row?.status === "lost") this.#rows.delete(id)
    this.#outbox.addPeer({
      _tag: "peer",
      id,
      status: "gone",
      node: new Uint8Array(),
      startedAt,
      changedAt: this.#now()
    })
    const outputs = partners.flatMap((partner) => this.#comparePair(partner, id))
    this.#prune(id, partners)
    return [...outputs, { to: peer, end }]
  }

  #applyPeer(id: PeerId, found: PeerRow | undefined): void {
    if (found !== undefined && !this.#alive.has(found.replicaId) && found.replicaId !== this.#self) {
      this.#alive.set(found.replicaId, found.isReplicaAlive)
    }
    const local = this.peers.get(id)
    const isElsewhere = found !== undefined && found.replicaId !== this.#self
    const isNewerElsewhere = isElsewhere && found.startedAt > (local?.startedAt ?? Infinity) && this.#isOk(found)
    if (this.#outbox.hasPeer(id) && !isNewerElsewhere) return
    if (local?.node !== undefined && !isNewerElsewhere) {
      // the store has lost what this replica knows
      if (found === undefined || isElsewhere || found.status === "lost") this.#setOwnRow(local, "ok")
      return
    }
    if (found === undefined) this.#rows.delete(id)
    else {
      const { changedAt, replicaId, startedAt } = found
      const held = this.#rows.get(id)?.node
      const node = held !== undefined && Buffer.compare(held.bytes, found.node) === 0 ? held : forwarded(found.node)
      const status = isElsewhere || local !== undefined ? found.status : "lost"
      this.#rows.set(id, { replicaId, status, node, startedAt, changedAt })
    }
  }

  #isOk({ replicaId, status }: { readonly replicaId: ReplicaId; readonly status: "ok" | "lost" }): boolean {
    return status === "ok" && (replicaId === this.#self || this.#alive.get(replicaId) !== false)
  }

  #comparePartners(id: PeerId): Outputs {
    const outputs: Outputs = []
    for (const partner of this.tunnels.partners(id)) {
      const local = this.peers.get(partner)
      if (local !== undefined) outputs.push(...tell(local, this.#compare(local, id)))
    }
    return outputs
  }

  #comparePair(one: PeerId, other: PeerId): Outputs {
    const [first, second] = [this.peers.get(one), this.peers.get(other)]
    return [
      ...(first === undefined ? [] : tell(first, this.#compare(first, other))),
      ...(second === undefined ? [] : tell(second, this.#compare(second, one)))
    ]
  }

  /** The updates of a peer about a partner, given its last update. */
  #compare({ id: self, sent }: LocalPeer, id: PeerId): ReadonlyArray<PeerUpdate> {
    const isKnown = sent.has(id)
    const told = sent.get(id)
    const row = this.tunnels.joins(self, id) ? this.#rows.get(id) : undefined
    if (row === undefined) {
      if (!isKnown) return []
      sent.delete(id)
      return [update(id, "disconnected", "disconnected")]
    }
    if (!this.#isOk(row)) {
      if (told === undefined) return []
      sent.set(id, undefined)
      return [update(id, "lost", "lost")]
    }
    if (told !== undefined && isSameNode(told, row.node)) return []
    sent.set(id, row.node)
    return [update(id, "node", told !== undefined ? "update" : isKnown ? "found" : "new", row.node)]
  }

  /** Drops what is known of a peer without a stream here, where no peer with one is its partner. */
  #prune(id: PeerId, partners: Iterable<PeerId> = [...this.tunnels.partners(id)]) {
    for (const partner of partners) {
      if (this.peers.has(partner)) continue
      this.tunnels.remove(id, partner)
      this.tunnels.remove(partner, id)
      this.#forget(partner)
    }
    this.#forget(id)
  }

  #forget(id: PeerId) {
    if (this.peers.has(id) || this.#outbox.hasPeer(id) || this.tunnels.partners(id).size > 0) return
    this.#rows.delete(id)
  }
}

/** A node that is only passed on. */
const forwarded = (bytes: Uint8Array): Node => ({ bytes, withoutTime: bytes, addresses: [], allowedIps: [] })
