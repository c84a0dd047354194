/** The rules of a coordinator that knows all peers: those within one process. */
import { isSameNode, type Node, type PeerId, type PeerUpdate } from "../Peer.ts"
import { closing, Core, type EndReason, type LocalPeer, type Outputs, tell, update } from "./core.ts"

export class MemoryCore extends Core {
  override updateNode(peer: LocalPeer, node: Node): Outputs {
    if (!this.isOpen(peer)) return []
    peer.node = node
    return this.#partners(peer.id).flatMap((partner) =>
      tell(partner, this.#learn(partner, peer.id, node, "node update"))
    )
  }

  override addTunnel(peer: LocalPeer, to: PeerId): Outputs {
    if (!this.isOpen(peer) || to === peer.id) return []
    this.tunnels.add(peer.id, to)
    const partner = this.peers.get(to)
    if (partner === undefined) return []
    return [
      ...(partner.node === undefined ? [] : tell(peer, this.#learn(peer, to, partner.node, "add tunnel"))),
      ...(peer.node === undefined ? [] : tell(partner, this.#learn(partner, peer.id, peer.node, "add tunnel")))
    ]
  }

  override removeTunnel(peer: LocalPeer, to: PeerId): Outputs {
    if (!this.isOpen(peer) || !this.tunnels.remove(peer.id, to)) return []
    const partner = this.peers.get(to)
    return [
      ...tell(peer, this.#forget(peer, to, "disconnected", "remove tunnel")),
      ...(partner === undefined ? [] : tell(partner, this.#forget(partner, peer.id, "disconnected", "remove tunnel")))
    ]
  }

  override lose(peer: LocalPeer, end: EndReason): Outputs {
    return this.isOpen(peer) ? this.#end(peer, "lost", "lost", end) : []
  }

  override close(error: string, end: EndReason): Outputs {
    const peers = [...this.peers.values()]
    return [
      ...peers.flatMap((peer) =>
        this.#partners(peer.id).flatMap((partner) =>
          tell(partner, this.#forget(partner, peer.id, "lost", "coordinator close"))
        )
      ),
      ...peers.flatMap((peer): Outputs => {
        this.peers.delete(peer.id)
        this.#removeTunnels(peer.id)
        return closing(peer, error, end)
      })
    ]
  }

  protected override opened(peer: LocalPeer): ReadonlyArray<PeerUpdate> {
    return [...this.tunnels.partners(peer.id)].flatMap((id) => {
      const node = this.peers.get(id)?.node
      return node === undefined ? [] : this.#learn(peer, id, node, "init")
    })
  }

  protected override remove(peer: LocalPeer, end: "disconnect" | "overflow"): Outputs {
    return this.#end(peer, "disconnected", end === "disconnect" ? "graceful disconnect" : "failed update", end)
  }

  protected override readyElsewhere(): void {}

  #end(peer: LocalPeer, kind: "lost" | "disconnected", reason: string, end: EndReason): Outputs {
    const told = this.#partners(peer.id).flatMap((partner) =>
      tell(partner, this.#forget(partner, peer.id, kind, reason))
    )
    this.peers.delete(peer.id)
    this.#removeTunnels(peer.id)
    return [...told, { to: peer, end }]
  }

  #removeTunnels(source: PeerId) {
    for (const target of this.tunnels.from(source)) this.tunnels.remove(source, target)
  }

  /** The partners of a peer that have a stream. */
  #partners(id: PeerId): ReadonlyArray<LocalPeer> {
    const partners: Array<LocalPeer> = []
    for (const partner of this.tunnels.partners(id)) {
      const local = this.peers.get(partner)
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
