/**
 * The terms that the pure cores of coordinators share: a core holds the state, and each of its transitions returns who is
 * told what. It sends nothing by itself, waits for nothing and does not fail.
 */
import { type Kind, type Node, type PeerId, type PeerUpdate, type Response, toResponses } from "../Peer.ts"

/** Why a stream ended. */
export type EndReason = "disconnect" | "lost" | "overwritten" | "overflow" | "refused" | "closed" | "unhealthy"

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
export interface Core {
  readonly isOpen: (peer: LocalPeer) => boolean
  readonly find: (id: PeerId) => LocalPeer | undefined
  readonly partnersOf: (id: PeerId) => ReadonlySet<PeerId>
  readonly tunnelsFrom: (id: PeerId) => number
  readonly sizes: () => { readonly peers: number; readonly tunnels: number }

  readonly open: (peer: LocalPeer) => Outputs
  readonly updateNode: (peer: LocalPeer, node: Node) => Outputs
  readonly addTunnel: (peer: LocalPeer, to: PeerId) => Outputs
  readonly removeTunnel: (peer: LocalPeer, to: PeerId) => Outputs
  readonly disconnect: (peer: LocalPeer) => Outputs
  /** The stream ended without a disconnect. */
  readonly lose: (peer: LocalPeer, end: EndReason) => Outputs
  /** The peer has not read its responses. */
  readonly overflow: (peer: LocalPeer) => Outputs
  readonly ready: (peer: LocalPeer, ids: ReadonlyArray<PeerId>) => Outputs
  /** Ends all streams. */
  readonly close: (error: string, end: EndReason) => Outputs
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

export const update = (id: PeerId, kind: Kind, reason: string, node?: Node): PeerUpdate =>
  node === undefined ? { id, kind, reason } : { id, kind, reason, node }

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
