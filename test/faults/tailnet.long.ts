/** Thousands of peers that come back to the tailnet at once. */
import { describe } from "@effect/vitest"
import { Clock, Effect, FiberSet, Random, Ref } from "effect"
import * as Database from "./Database.ts"
import * as Peers from "./Peers.ts"
import * as Replica from "./Replica.ts"
import { expect, scenario } from "./scenario.ts"
import * as World from "./World.ts"

const agents = 5_000
const clients = 10
const tunnelsPerClient = agents / clients
const within = 60_000

const crowd = Effect.gen(function* () {
  const database = yield* Database.make()
  const env = { DATABASE_URL: database.url, NODE_OPTIONS: "--max-old-space-size=1024" }
  const first = yield* Replica.start(env)
  const { port } = new URL(first.url)
  const { members, token } = yield* Peers.tenant(first.url, "ada", agents)
  const generation = yield* Ref.make(1)
  const connected: Array<Peers.Peer | undefined> = []

  /** Lives as a stock peer does: comes back a second or two after its connection has ended. */
  const live = (session: Effect.Effect<void, unknown, never>) =>
    Effect.forever(Effect.andThen(Effect.ignore(session), Effect.flatMap(Random.nextBetween(500, 2_000), Effect.sleep)))
  const fibers = yield* FiberSet.make()
  for (const member of members) {
    const session = Effect.gen(function* () {
      const peer = yield* Peers.agent(first.url, member)
      yield* peer.update(yield* Ref.get(generation))
      yield* peer.ended
    }).pipe(Effect.scoped)
    yield* FiberSet.run(fibers, live(session))
  }
  for (let number = 0; number < clients; number++) {
    const partners = members.slice(number * tunnelsPerClient, (number + 1) * tunnelsPerClient)
    const session = Effect.gen(function* () {
      const peer = yield* Peers.client(first.url, token)
      yield* peer.update(1)
      for (const { id } of partners) yield* peer.addTunnel(id)
      connected[number] = peer
      yield* peer.ended
      connected[number] = undefined
    }).pipe(Effect.scoped)
    yield* FiberSet.run(fibers, live(session))
  }
  /** The agents of which no client has the node of this generation. */
  const behind = (node: number) =>
    World.settle(
      Effect.sync(
        () =>
          members.filter(({ id }, index) => connected[Math.floor(index / tunnelsPerClient)]?.newest(id)?.node !== node)
            .length
      ),
      (count) => count === 0,
      within / 200
    )
  const before = yield* behind(1)

  yield* first.kill("SIGKILL")
  yield* first.exit
  yield* Ref.set(generation, 2)
  yield* World.settle(
    Effect.sync(() => connected.filter((peer) => peer !== undefined).length),
    (count) => count === 0
  )
  const second = yield* Replica.start({ ...env, PORT: port })
  const start = yield* Clock.currentTimeMillis
  const after = yield* behind(2)
  const elapsed = (yield* Clock.currentTimeMillis) - start
  const peers = connected.flatMap((peer) => (peer === undefined ? [] : [peer]))
  return {
    accepted: agents,
    present: agents - after,
    lost: after,
    counted: 0,
    problems: [
      ...expect(before === 0, `${before} agents were not told before the restart`),
      ...expect(after === 0 && elapsed <= within, `${after} agents were not told ${elapsed} ms after the restart`),
      ...expect(Peers.ofKind(peers, "DISCONNECTED").length === 0, "agents were told as disconnected"),
      ...expect(yield* second.isAlive, "the service does not respond")
    ]
  }
})

describe("the tailnet", () => {
  scenario("25d · 5 000 agents with tunnels come back at once", crowd)
})
