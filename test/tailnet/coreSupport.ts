/** The core of a replica, of which the test says what was read. */
import { ReplicaId } from "../../src/domain/Ids.ts"
import type { Change, PeerRow } from "../../src/tailnet/CoordinatorStore.ts"
import { LocalPeer, type Outputs } from "../../src/tailnet/internal/core.ts"
import { ReplicatedCore } from "../../src/tailnet/internal/replicatedCore.ts"
import type { PeerId } from "../../src/tailnet/Peer.ts"
import * as Seed from "../support/seed.ts"
import { described, newPeerId, node } from "./support.ts"

export const [self, other] = [Seed.newId(ReplicaId), Seed.newId(ReplicaId)]

/** The outputs as lines, with peers by their names. */
export const names = new Map<PeerId, string>()
export const nameOf = (id: PeerId) => names.get(id) ?? id
export const lines = (outputs: Outputs): ReadonlyArray<string> =>
  outputs.flatMap((output) =>
    "end" in output
      ? [`${nameOf(output.to.id)} ends: ${output.end}`]
      : described(output.response, nameOf).map((line) => `${nameOf(output.to.id)}: ${line}`)
  )

export const named = (name: string): PeerId => {
  const id = newPeerId()
  names.set(id, name)
  return id
}

export const lineOf = (change: Change): string =>
  change._tag === "peer"
    ? `${nameOf(change.id)} ${change.status} ${Buffer.from(change.node).toString()} ${change.startedAt} ${change.changedAt}`
    : `${nameOf(change.source)} ${change.isOpen ? "to" : "not to"} ${nameOf(change.target)}`

/** The changes that were not taken yet. */
export const changesOf = (core: ReplicatedCore): ReadonlyArray<string> => core.takeChanges(100).map(lineOf)

/** The peers whose rows, or tunnels, are to be read. */
export const staleOf = (core: ReplicatedCore) => {
  const { rows, tunnels } = core.takeStale(100)
  return { rows: rows.map(nameOf), tunnels: tunnels.map(nameOf) }
}

export const nothing = { rows: [], tunnels: [] }

export const row = (id: PeerId, text: string, values: Partial<PeerRow> = {}): PeerRow => ({
  id,
  replicaId: other,
  isReplicaAlive: true,
  status: "ok",
  node: node(text).bytes,
  startedAt: 1,
  changedAt: 1,
  ...values
})

export const open = (core: ReplicatedCore, name: string, startedAt = 1, id = named(name)): LocalPeer => {
  const peer = new LocalPeer(id, name, startedAt)
  core.open(peer)
  return peer
}

/** Everything that waits was written and took effect. */
export const write = (core: ReplicatedCore, accepted?: ReadonlyArray<PeerId>) => {
  const changes = core.takeChanges(100)
  core.written(changes, accepted ?? changes.flatMap((change) => (change._tag === "peer" ? [change.id] : [])))
  return changes
}

export const coreAt = (now = 7) => new ReplicatedCore(self, () => now)

/** A client here with a tunnel to an agent of another replica, of which all is written and read. */
export const apart = () => {
  const core = coreAt()
  const [client, agent] = [open(core, "client"), named("agent")]
  core.updateNode(client, node("c1"))
  core.addTunnel(client, agent)
  core.applyPeers([agent], [row(agent, "a1")])
  write(core)
  core.takeStale(100)
  return { core, client, agent }
}

/** A client and an agent here that know each other, of which all is written. */
export const near = () => {
  const core = coreAt()
  const [client, agent] = [open(core, "client"), open(core, "agent")]
  core.updateNode(client, node("c1"))
  core.updateNode(agent, node("a1"))
  core.addTunnel(client, agent.id)
  write(core)
  core.takeStale(100)
  return { core, client, agent }
}
