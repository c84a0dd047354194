/** The rules of a coordinator that knows all peers: those within one process. */
import { errors, isSameNode, type Node, type PeerId, type PeerUpdate, toError } from "../Peer.ts"
import { type Core, type EndReason, type LocalPeer, type Outputs, tell, Tunnels, update } from "./core.ts"

export class MemoryCore implements Core {
  readonly #peers = new Map<PeerId, LocalPeer>()
  readonly #tunnels = new Tunnels()

  isOpen(peer: LocalPeer): boolean {
    return this.#peers.get(peer.id) === peer
  }

  find(id: PeerId): LocalPeer | undefined {
    return this.#peers.get(id)
  }

  partnersOf(id: PeerId): ReadonlySet<PeerId> {
    return this.#tunnels.partners(id)
  }

  tunnelsFrom(id: PeerId): number {
    return this.#tunnels.from(id).size
  }

  sizes() {
    return { peers: this.#peers.size, tunnels: this.#tunnels.size }
  }

  open(peer: LocalPeer): Outputs {
    const old = this.#peers.get(peer.id)
    this.#peers.set(peer.id, peer)
    const known: Array<PeerUpdate> = []
    for (const id of this.#tunnels.partners(peer.id)) {
      const node = this.#peers.get(id)?.node
      if (node !== undefined) known.push(...this.#learn(peer, id, node, "init"))
    }
    const ended: Outputs =
      old === undefined
        ? []
        : [
            { to: old, response: toError(errors.overwritten) },
            { to: old, end: "overwritten" }
          ]
    return [...ended, ...tell(peer, known)]
  }

  updateNode(peer: LocalPeer, node: Node): Outputs {
    if (!this.isOpen(peer)) return []
    peer.node = node
    return this.#partners(peer.id).flatMap((partner) =>
      tell(partner, this.#learn(partner, peer.id, node, "node update"))
    )
  }

  addTunnel(peer: LocalPeer, to: PeerId): Outputs {
    if (!this.isOpen(peer) || to === peer.id) return []
    this.#tunnels.add(peer.id, to)
    const partner = this.#peers.get(to)
    if (partner === undefined) return []
    return [
      ...(partner.node === undefined ? [] : tell(peer, this.#learn(peer, to, partner.node, "add tunnel"))),
      ...(peer.node === undefined ? [] : tell(partner, this.#learn(partner, peer.id, peer.node, "add tunnel")))
    ]
  }

  removeTunnel(peer: LocalPeer, to: PeerId): Outputs {
    if (!this.isOpen(peer) || !this.#tunnels.remove(peer.id, to)) return []
    const partner = this.#peers.get(to)
    return [
      ...tell(peer, this.#forget(peer, to, "disconnected", "remove tunnel")),
      ...(partner === undefined ? [] : tell(partner, this.#forget(partner, peer.id, "disconnected", "remove tunnel")))
    ]
  }

  disconnect(peer: LocalPeer): Outputs {
    return this.#remove(peer, "disconnected", "graceful disconnect", "disconnect")
  }

  lose(peer: LocalPeer, end: EndReason): Outputs {
    return this.#remove(peer, "lost", "lost", end)
  }

  overflow(peer: LocalPeer): Outputs {
    if (!this.isOpen(peer)) return []
    return [
      { to: peer, response: toError(errors.overflow) },
      ...this.#remove(peer, "disconnected", "failed update", "overflow")
    ]
  }

  ready(peer: LocalPeer, ids: ReadonlyArray<PeerId>): Outputs {
    if (!this.isOpen(peer)) return []
    return ids.flatMap((id): Outputs => {
      if (!this.#tunnels.joins(peer.id, id)) return [{ to: peer, response: toError(errors.noTunnel(id)) }]
      const partner = this.#peers.get(id)
      return partner === undefined ? [] : tell(partner, [update(peer.id, "readyForHandshake", "")])
    })
  }

  close(error: string, end: EndReason): Outputs {
    const peers = [...this.#peers.values()]
    return [
      ...peers.flatMap((peer) =>
        this.#partners(peer.id).flatMap((partner) =>
          tell(partner, this.#forget(partner, peer.id, "lost", "coordinator close"))
        )
      ),
      ...peers.flatMap((peer): Outputs => {
        this.#peers.delete(peer.id)
        this.#removeTunnels(peer.id)
        return [
          { to: peer, response: toError(error) },
          { to: peer, end }
        ]
      })
    ]
  }

  #remove(peer: LocalPeer, kind: "lost" | "disconnected", reason: string, end: EndReason): Outputs {
    if (!this.isOpen(peer)) return []
    const told = this.#partners(peer.id).flatMap((partner) =>
      tell(partner, this.#forget(partner, peer.id, kind, reason))
    )
    this.#peers.delete(peer.id)
    this.#removeTunnels(peer.id)
    return [...told, { to: peer, end }]
  }

  #removeTunnels(source: PeerId) {
    for (const target of this.#tunnels.from(source)) this.#tunnels.remove(source, target)
  }

  /** The partners of a peer that have a stream. */
  #partners(id: PeerId): ReadonlyArray<LocalPeer> {
    const partners: Array<LocalPeer> = []
    for (const partner of this.#tunnels.partners(id)) {
      const local = this.#peers.get(partner)
      if (local !== undefined) partners.push(local)
    }
    return partners
  }

  #learn(peer: LocalPeer, id: PeerId, node: Node, reason: string): ReadonlyArray<PeerUpdate> {
    const known = peer.sent.get(id)
    if (known !== undefined && isSameNode(known, node)) return []
    peer.sent.set(id, node)
    return [update(id, "node", reason, node)]
  }

  #forget(peer: LocalPeer, id: PeerId, kind: "lost" | "disconnected", reason: string): ReadonlyArray<PeerUpdate> {
    return peer.sent.delete(id) ? [update(id, kind, reason)] : []
  }
}
