/**
 * The terms that the pure cores of coordinators share: a core holds the state, and each of its transitions returns who is
 * told what. It sends nothing by itself, waits for nothing and does not fail.
 */
import {
  errors,
  type Kind,
  type Node,
  type PeerId,
  type PeerUpdate,
  type Response,
  toError,
  toResponses
} from "../Peer.ts"

/** Why a stream ended. */
export type EndReason = "disconnect" | "lost" | "overwritten" | "overflow" | "refused" | "closed"

/** A peer with a stream in this process; a second stream of the same id is another object. */
export class LocalPeer {
  node: Node | undefined
  /** The node of each partner as this peer knows it; `undefined` for one that it knows to be lost. */
  readonly sent = new Map<PeerId, Node | undefined>()

  readonly id: PeerId
  readonly name: string
  /** When the stream began, in milliseconds. */
  readonly startedAt: number

  constructor(id: PeerId, name: string, startedAt: number) {
    this.id = id
    this.name = name
    this.startedAt = startedAt
  }
}

/** The output of a transition: a response to a peer, or the end of its stream. */
export type Output =
  | { readonly to: LocalPeer; readonly response: Response }
  | { readonly to: LocalPeer; readonly end: EndReason }

export type Outputs = Array<Output>

/** A state, and its transitions. Transitions of a peer whose stream is over return nothing. */
export abstract class Core {
  protected readonly peers = new Map<PeerId, LocalPeer>()
  protected readonly tunnels = new Tunnels()

  isOpen(peer: LocalPeer): boolean {
    return this.peers.get(peer.id) === peer
  }

  find(id: PeerId): LocalPeer | undefined {
    return this.peers.get(id)
  }

  partnersOf(id: PeerId): ReadonlySet<PeerId> {
    return this.tunnels.partners(id)
  }

  hasTunnel(source: PeerId, target: PeerId): boolean {
    return this.tunnels.has(source, target)
  }

  tunnelsFrom(id: PeerId): number {
    return this.tunnels.from(id).size
  }

  sizes(): { readonly peers: number; readonly tunnels: number } {
    return { peers: this.peers.size, tunnels: this.tunnels.size }
  }

  open(peer: LocalPeer): Outputs {
    const old = this.peers.get(peer.id)
    this.peers.set(peer.id, peer)
    return [
      ...(old === undefined ? [] : closing(old, errors.overwritten, "overwritten")),
      ...tell(peer, this.opened(peer))
    ]
  }

  disconnect(peer: LocalPeer): Outputs {
    return this.isOpen(peer) ? this.remove(peer, "disconnect") : []
  }

  /** The peer has not read its responses. */
  overflow(peer: LocalPeer): Outputs {
    if (!this.isOpen(peer)) return []
    return [{ to: peer, response: toError(errors.overflow) }, ...this.remove(peer, "overflow")]
  }

  ready(peer: LocalPeer, ids: ReadonlyArray<PeerId>): Outputs {
    if (!this.isOpen(peer)) return []
    return ids.flatMap((id): Outputs => {
      if (!this.tunnels.joins(peer.id, id)) return [{ to: peer, response: toError(errors.noTunnel(id)) }]
      const partner = this.peers.get(id)
      if (partner !== undefined) return tell(partner, [update(peer.id, "readyForHandshake", "")])
      this.readyElsewhere(peer.id, id)
      return []
    })
  }

  abstract updateNode(peer: LocalPeer, node: Node): Outputs
  abstract addTunnel(peer: LocalPeer, to: PeerId): Outputs
  abstract removeTunnel(peer: LocalPeer, to: PeerId): Outputs
  /** The stream ended without a disconnect. */
  abstract lose(peer: LocalPeer, end: EndReason): Outputs
  /** Ends all streams. */
  abstract close(error: string, end: EndReason): Outputs

  /** Returns the first updates of a peer whose stream has begun. */
  protected abstract opened(peer: LocalPeer): ReadonlyArray<PeerUpdate>
  /** Removes a peer and its tunnels. */
  protected abstract remove(peer: LocalPeer, end: "disconnect" | "overflow"): Outputs
  /** A peer is ready for a partner that has no stream in this process. */
  protected abstract readyElsewhere(from: PeerId, to: PeerId): void
}

/** Tunnels by both of their ends. */
export class Tunnels {
  readonly #bySource = new Map<PeerId, Set<PeerId>>()
  readonly #byTarget = new Map<PeerId, Set<PeerId>>()
  size = 0

  has(source: PeerId, target: PeerId): boolean {
    return this.#bySource.get(source)?.has(target) === true
  }

  /** Whether there is a tunnel in either direction. */
  joins(one: PeerId, other: PeerId): boolean {
    return this.has(one, other) || this.has(other, one)
  }

  add(source: PeerId, target: PeerId): boolean {
    if (this.has(source, target)) return false
    addTo(this.#bySource, source, target)
    addTo(this.#byTarget, target, source)
    this.size++
    return true
  }

  remove(source: PeerId, target: PeerId): boolean {
    if (!this.has(source, target)) return false
    removeFrom(this.#bySource, source, target)
    removeFrom(this.#byTarget, target, source)
    this.size--
    return true
  }

  from(source: PeerId): ReadonlySet<PeerId> {
    return this.#bySource.get(source) ?? none
  }

  to(target: PeerId): ReadonlySet<PeerId> {
    return this.#byTarget.get(target) ?? none
  }

  /** The other ends of all tunnels of a peer. */
  partners(id: PeerId): ReadonlySet<PeerId> {
    const [from, to] = [this.from(id), this.to(id)]
    if (from.size === 0) return to
    return to.size === 0 ? from : new Set([...from, ...to])
  }
}

/** Collects the updates of one transition for one peer. */
export const tell = (to: LocalPeer, updates: ReadonlyArray<PeerUpdate>): Outputs =>
  toResponses(updates).map((response) => ({ to, response }))

export const update = (id: PeerId, kind: Kind, reason: string, node?: Node): PeerUpdate => ({ id, kind, reason, node })

/** Ends the stream of a peer with an error. */
export const closing = (to: LocalPeer, error: string, end: EndReason): Outputs => [
  { to, response: toError(error) },
  { to, end }
]

const none: ReadonlySet<PeerId> = new Set()

const addTo = (map: Map<PeerId, Set<PeerId>>, key: PeerId, value: PeerId) => {
  const held = map.get(key)
  if (held === undefined) map.set(key, new Set([value]))
  else held.add(value)
}

const removeFrom = (map: Map<PeerId, Set<PeerId>>, key: PeerId, value: PeerId) => {
  const held = map.get(key)!
  held.delete(value)
  if (held.size === 0) map.delete(key)
}
