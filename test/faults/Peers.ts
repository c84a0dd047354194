/** Peers of the tailnet over real connections, with all that they were told. */
import { Clock, Effect, Option } from "effect"
import * as Token from "../../src/access/Token.ts"
import { fromBytes, type PeerId, toBytes } from "../../src/tailnet/Peer.ts"
import { CoordinateResponse_PeerUpdate_Kind as Kind } from "../../src/wire/generated/tailnet_pb.ts"
import * as Client from "../support/client.ts"
import * as WireClient from "../tailnet/wireClient.ts"
import * as Replica from "./Replica.ts"
import * as World from "./World.ts"

/** An update about a partner. Nodes are told apart by a number. */
export interface Told {
  readonly id: PeerId
  readonly kind: "NODE" | "LOST" | "DISCONNECTED" | "READY_FOR_HANDSHAKE"
  readonly node: number | undefined
  readonly reason: string
  /** In milliseconds. */
  readonly at: number
}

export type Peer = Effect.Success<ReturnType<typeof connect>>

const kindOf = new Map<number, Told["kind"]>([
  [Kind.NODE, "NODE"],
  [Kind.LOST, "LOST"],
  [Kind.DISCONNECTED, "DISCONNECTED"],
  [Kind.READY_FOR_HANDSHAKE, "READY_FOR_HANDSHAKE"]
])

export interface Member {
  readonly id: PeerId
  readonly token: string
}

const connect = Effect.fnUntraced(function* (address: string, token: string) {
  const client = yield* WireClient.connect(address, { [Token.header]: token })
  const told: Array<Told> = []
  const errors: Array<string> = []
  let isOpen = true
  yield* client.next.pipe(
    Effect.flatMap(({ error, peerUpdates }) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        if (error !== "") errors.push(error)
        for (const { id, kind, node, reason } of peerUpdates) {
          told.push({
            id: Option.getOrThrow(fromBytes(id)),
            kind: kindOf.get(kind)!,
            node: node?.preferredDerp,
            reason,
            at
          })
        }
      })
    ),
    Effect.forever,
    Effect.ignore,
    Effect.ensuring(Effect.sync(() => (isOpen = false))),
    Effect.forkScoped
  )
  return {
    told,
    errors,
    isOpen: () => isOpen,
    ended: client.closed,
    update: (node: number) => client.coordinate({ updateSelf: { node: { id: 1n, preferredDerp: node } } }),
    addTunnel: (id: PeerId) => client.coordinate({ addTunnel: { id: toBytes(id) } }),
    /** The newest update about a partner. */
    newest: (id: PeerId) => told.findLast((update) => update.id === id)
  }
})

/** An agent over its own connection. */
export const agent = (url: string, { token }: Member) =>
  connect(`${url}/api/v2/workspaceagents/me/rpc?version=2.0&role=agent`, token)

/** A client of a user, for all agents of that user. */
export const client = (url: string, token: string) => connect(`${url}/api/v2/tailnet?version=2.0`, token)

/** A user with agents in one workspace, and the tokens of all of them. */
export const tenant = Effect.fnUntraced(function* (url: string, username: string, agents: number) {
  const api = yield* Client.admin(url, Replica.adminToken)
  yield* api.users.create({ payload: { username, is_admin: false } })
  const { token } = yield* api.users.createToken({ params: { username }, payload: { name: "laptop" } })
  const workspace = yield* api.workspaces.create({ payload: { name: "dev", owner: username } })
  const members: Array<Member> = []
  // one call takes at most a thousand
  for (let first = 0; first < agents; first += 1_000) {
    const created = yield* api.agents.create({
      params: { workspace: workspace.id },
      payload: {
        agents: Array.from({ length: Math.min(1_000, agents - first) }, (_, index) => ({
          name: `agent-${first + index}`,
          metadata: []
        }))
      }
    })
    members.push(...created.map(({ id, token }): Member => ({ id: id as string as PeerId, token })))
  }
  return { token, members }
})

/** Waits until `peer` was told these nodes last, and returns the partners of which it was told something else. */
export const behind = (peer: Peer, nodes: ReadonlyMap<PeerId, number>, attempts?: number) =>
  World.settle(
    Effect.sync(() => [...nodes].flatMap(([id, node]) => (peer.newest(id)?.node === node ? [] : [id]))),
    (ids) => ids.length === 0,
    attempts
  )

/** The updates of a kind. */
export const ofKind = (peers: ReadonlyArray<Peer>, kind: Told["kind"]) =>
  peers.flatMap(({ told }) => told.filter((update) => update.kind === kind))
