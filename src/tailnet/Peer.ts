/**
 * The terms of the tailnet: peers, their nodes, and the messages between a peer and the coordinator.
 *
 * A node stays encoded, because the coordinator only forwards it. The coordinator reads no more of it than the addresses,
 * which an agent may not choose freely.
 */
import { Option, Schema } from "effect"

/** A program that takes part in the tailnet: an agent has the id of its agent, a client has one of its own. */
export const PeerId = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, { expected: "a UUID" })
  ),
  Schema.brand("PeerId")
)
export type PeerId = typeof PeerId.Type

/** The id in its 16 bytes; none if there are not exactly 16. */
export const fromBytes = (bytes: Uint8Array): Option.Option<PeerId> => {
  if (bytes.length !== 16) return Option.none()
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString("hex")
  return Option.some(
    `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}` as PeerId
  )
}

/** The 16 bytes of an id. */
export const toBytes = (id: PeerId): Uint8Array => {
  const bytes = new Uint8Array(16)
  bytes.set(Buffer.from(id.replaceAll("-", ""), "hex"))
  return bytes
}

/** How a peer can be reached. */
export interface Node {
  /** The encoded `Node` message, in which equal nodes have equal bytes. */
  readonly bytes: Uint8Array
  /** The same bytes without the time at which the peer took them. */
  readonly withoutTime: Uint8Array
  readonly addresses: ReadonlyArray<string>
  readonly allowedIps: ReadonlyArray<string>
}

/** Whether two nodes are equal in every field. */
export const isSameNode = (one: Node, other: Node): boolean => Buffer.compare(one.bytes, other.bytes) === 0

/** Whether two nodes differ in their time at most. */
export const isSameNodeAtAnyTime = (one: Node, other: Node): boolean =>
  Buffer.compare(one.withoutTime, other.withoutTime) === 0

/** A request of a peer to the coordinator. Several fields may be set; they take effect in the order of this interface. */
export interface Request {
  readonly updateSelf?: Node | undefined
  readonly addTunnel?: PeerId | undefined
  readonly removeTunnel?: PeerId | undefined
  readonly disconnect?: boolean | undefined
  readonly readyForHandshake?: ReadonlyArray<PeerId> | undefined
}

export type Kind = "node" | "disconnected" | "lost" | "readyForHandshake"

/** An update of a peer about another one. */
export interface PeerUpdate {
  readonly id: PeerId
  readonly kind: Kind
  /** Set for the kind `node`, and for no other. */
  readonly node?: Node | undefined
  readonly reason: string
}

/** One message to a peer: updates, or an error. */
export interface Response {
  readonly updates: ReadonlyArray<PeerUpdate>
  readonly error?: string | undefined
}

/** The most updates in one response. */
export const maxUpdatesPerResponse = 1_024

/** The responses that carry these updates. */
export const toResponses = (updates: ReadonlyArray<PeerUpdate>): ReadonlyArray<Response> => {
  const responses: Array<Response> = []
  for (let from = 0; from < updates.length; from += maxUpdatesPerResponse) {
    responses.push({ updates: updates.slice(from, from + maxUpdatesPerResponse) })
  }
  return responses
}

export const toError = (error: string): Response => ({ updates: [], error })

/** The texts that clients of the original know. */
export const errors = {
  overwritten: "peer ID overwritten by new connection",
  closed: "coordinator closed",
  overflow: "peer does not read its updates fast enough",
  noTunnel: (id: PeerId) => `ready for handshake error: you do not share a tunnel with "${id}"`,
  authorization: (detail: string) => `authorization: ${detail}`
} as const
