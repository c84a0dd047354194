/** Peers of the tailnet while a replica dies, and while the database or the broker is away. */
import { describe } from "@effect/vitest"
import { Clock, Effect } from "effect"
import type { PeerId } from "../../src/tailnet/Peer.ts"
import * as Database from "./Database.ts"
import * as Peers from "./Peers.ts"
import * as Proxy from "./Proxy.ts"
import * as Replica from "./Replica.ts"
import { expect, lasting, scenario, seconds } from "./scenario.ts"

/** Ten agents at one replica and ten at another, and a client at the second one that has tunnels to all. */
const meeting = Effect.fnUntraced(function* (
  database: Database.Database,
  environments: readonly [Readonly<Record<string, string>>, Readonly<Record<string, string>>] = [{}, {}]
) {
  const [first, second] = yield* Effect.forEach(environments, (env) =>
    Replica.start({ DATABASE_URL: database.url, ...env })
  )
  const { members, token } = yield* Peers.tenant(first!.url, "ada", 20)
  const [far, near] = [members.slice(0, 10), members.slice(10)]
  const client = yield* Peers.client(second!.url, token)
  yield* client.update(1)
  const connect = Effect.fnUntraced(function* (url: string, some: ReadonlyArray<Peers.Member>) {
    return yield* Effect.forEach(
      some,
      Effect.fnUntraced(function* (member) {
        const peer = yield* Peers.agent(url, member)
        return { ...member, peer }
      })
    )
  })
  const farAgents = yield* connect(first!.url, far)
  const nearAgents = yield* connect(second!.url, near)
  for (const { id } of members) yield* client.addTunnel(id)
  const update = (agents: typeof farAgents, node: number) => Effect.forEach(agents, ({ peer }) => peer.update(node))
  yield* update([...farAgents, ...nearAgents], 1)
  const missing = yield* Peers.behind(client, nodesOf(members, 1))
  return { first: first!, second: second!, client, connect, far, farAgents, near, nearAgents, update, missing }
})

const nodesOf = (members: ReadonlyArray<Peers.Member>, node: number): ReadonlyMap<PeerId, number> =>
  new Map(members.map(({ id }) => [id, node]))

/** The figures of a scenario: updates that were due, and those that are missing. */
const figures = (due: number, missing: number, problems: ReadonlyArray<ReadonlyArray<string>>) => ({
  accepted: due,
  present: due - missing,
  lost: missing,
  counted: 0,
  problems: [...problems.flat(), ...expect(missing === 0, `${missing} updates are missing`)]
})

/** The time from the death of a replica until its peers are lost: a heartbeat may be as old as the timeout. */
const timeout = 6_000
const slack = 500

const killed = Effect.gen(function* () {
  const { client, connect, far, first, missing, second, update } = yield* meeting(yield* Database.make())
  const returning = far.slice(0, 5)

  yield* first.kill("SIGKILL")
  const died = yield* Clock.currentTimeMillis
  const back = yield* connect(second.url, returning)
  yield* update(back, 2)
  const late = yield* Peers.behind(client, nodesOf(returning, 2))
  yield* lasting(timeout + slack)
  const lost = Peers.ofKind([client], "LOST")
  const elapsed = Math.max(...lost.map(({ at }) => at - died))
  const lostIds = new Set(lost.map(({ id }) => id))

  const others = yield* connect(second.url, far.slice(5))
  yield* update(others, 3)
  const found = yield* Peers.behind(client, nodesOf(far.slice(5), 3))
  const reasons = new Set(far.slice(5).map(({ id }) => client.newest(id)?.reason))
  return figures(40, missing.length + late.length + found.length, [
    expect(
      lost.length === 5 && returning.every(({ id }) => !lostIds.has(id)),
      `${lost.length} agents were lost instead of the 5 that stayed away`
    ),
    expect(elapsed <= timeout + slack, `the last agent was lost after ${elapsed} ms`),
    expect([...reasons].join() === "found", `lost agents came back as ${[...reasons].join()}`),
    expect(Peers.ofKind([client], "DISCONNECTED").length === 0, "agents were told as disconnected"),
    expect(client.isOpen(), "the stream of the client ended")
  ])
})

const databaseAway = Effect.gen(function* () {
  const database = yield* Database.make()
  const { client, far, farAgents, missing, near, nearAgents, update } = yield* meeting(database)
  const peers = [client, ...[...farAgents, ...nearAgents].map(({ peer }) => peer)]

  yield* database.stop("immediate")
  yield* lasting(seconds(30))
  yield* update([...farAgents, ...nearAgents], 2)
  const meanwhile = yield* Peers.behind(client, nodesOf(near, 2), 10)
  yield* lasting(seconds(30))
  yield* update([...farAgents, ...nearAgents], 3)
  yield* database.start
  const afterwards = yield* Peers.behind(client, nodesOf([...far, ...near], 3))
  // longer than a replica may be silent
  yield* lasting("8 seconds")
  yield* update(farAgents, 4)
  const later = yield* Peers.behind(client, nodesOf(far, 4))
  return figures(60, missing.length + meanwhile.length + afterwards.length + later.length, quiet(peers))
})

const brokerAway = Effect.gen(function* () {
  const database = yield* Database.make()
  const broker = Replica.brokerUrl ?? database.url
  const proxy = yield* Proxy.make(broker)
  const { client, far, farAgents, missing, near, nearAgents, update } = yield* meeting(database, [
    {},
    { [Replica.brokerUrl === undefined ? "DATABASE_LISTEN_URL" : "PUBSUB_URL"]: proxy.url }
  ])
  const peers = [client, ...[...farAgents, ...nearAgents].map(({ peer }) => peer)]

  // the discard port, where nobody listens
  yield* proxy.leadTo(9)
  const cut = yield* proxy.cut
  yield* update([...farAgents, ...nearAgents], 2)
  const meanwhile = yield* Peers.behind(client, nodesOf(near, 2), 10)
  yield* lasting(seconds(20))
  yield* update(farAgents, 3)
  yield* proxy.leadTo(Number(new URL(broker).port))
  const start = yield* Clock.currentTimeMillis
  const afterwards = yield* Peers.behind(client, nodesOf(far, 3))
  const elapsed = (yield* Clock.currentTimeMillis) - start
  return figures(40, missing.length + meanwhile.length + afterwards.length, [
    ...quiet(peers),
    expect(cut > 0, "no connection was cut"),
    expect(elapsed <= 10_000, `the newest nodes arrived ${elapsed} ms after the broker was back`)
  ])
})

/** No stream has ended, and nobody was told of the end of a partner. */
const quiet = (peers: ReadonlyArray<Peers.Peer>) => [
  expect(
    peers.every(({ isOpen }) => isOpen()),
    `${peers.filter(({ isOpen }) => !isOpen()).length} streams ended`
  ),
  expect(Peers.ofKind(peers, "DISCONNECTED").length === 0, "peers were told as disconnected"),
  expect(Peers.ofKind(peers, "LOST").length === 0, "peers were told as lost")
]

describe("the tailnet", () => {
  scenario("25a · A replica is killed, and half of its agents come back to another one", killed)
  scenario("25b · Postgres crashes and is away for 60 s", databaseAway)
  scenario("25c · A replica hears no announcements for 20 s", brokerAway)
})
