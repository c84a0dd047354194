/** A server of the metadata store, single or of a cluster, is killed or frozen. */
import { Clock, Effect, Scope } from "effect"
import * as Brokers from "../support/brokers.ts"
import * as RedisCluster from "../support/redisCluster.ts"
import { and, expect, lasting, type Outcome, scenario, seconds } from "./scenario.ts"
import * as ValueStore from "./ValueStore.ts"
import * as World from "./World.ts"

interface Fault {
  readonly fail: Effect.Effect<void, never, Scope.Scope>
  readonly comeBack: Effect.Effect<unknown, unknown, Scope.Scope>
  /** Whether the service can do nothing meanwhile. */
  readonly isTotal: boolean
}

/** Lets something happen to a server while agents report to two replicas, and compares once it is back. */
const through = Effect.fnUntraced(function* (url: string, { comeBack, fail, isTotal }: Fault, pause = seconds(14)) {
  // a server that comes back stays after the load
  const scope = yield* Effect.scope
  const settings = ValueStore.settings(url)
  const world = yield* World.make({ replicas: [settings, settings], agents: 30 })
  const load = {
    to: (agent: number) => world.replicas[(agent + Math.floor(Math.random() * 2)) % 2]!.url,
    every: 250,
    hopAfter: 10
  }
  const during = yield* world.fleet.whileReporting(
    load,
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      yield* fail
      const before = yield* world.fleet.reports
      yield* lasting(pause)
      const accepted = (yield* world.fleet.reports) - before
      const away = yield* world.replica.get("/metrics")
      const ready = yield* world.replica.get("/readyz")
      yield* Scope.provide(comeBack, scope)
      const returnedAt = yield* Clock.currentTimeMillis
      yield* World.settle(
        Effect.sync(() => World.stale(world, returnedAt)),
        (behind) => behind === 0
      )
      const elapsed = (yield* Clock.currentTimeMillis) - returnedAt
      // connections are replaced with pauses
      const after = yield* World.settle(world.replica.get("/readyz"), ({ status }) => status === 200)
      const readyAfter = (yield* Clock.currentTimeMillis) - returnedAt
      return { accepted, away, ready, elapsed, after, readyAfter }
    })
  )
  const database = { ...world.database, rows: ValueStore.rows(url) }
  const outcome: Outcome = World.lossless(yield* World.look({ ...world, database }))
  return and(
    outcome,
    expect(during.accepted > 0, "nothing was accepted while the server was away"),
    expect(/^metadata_batcher_store_nodes_away [1-9]/m.test(during.away.text), "the metric says nothing of it"),
    expect(during.ready.status === (isTotal ? 503 : 200), `/readyz was ${during.ready.status} meanwhile`),
    expect(during.after.status === 200, `/readyz was ${during.after.status} after its return`),
    expect(during.readyAfter < 6_000, `/readyz was 200 only ${during.readyAfter} ms after its return`),
    expect(during.elapsed < 12_000, `watchers were right only ${during.elapsed} ms after its return`)
  )
})

const ofServer = (how: "killed" | "frozen") =>
  Effect.gen(function* () {
    const server = yield* Brokers.start("redis")
    const fault =
      how === "killed"
        ? { fail: server.kill, comeBack: Brokers.start("redis", { port: server.port }) }
        : { fail: server.freeze, comeBack: server.thaw }
    return yield* through(server.url, { ...fault, isTotal: true }, how === "frozen" ? seconds(30) : undefined)
  })

const ofCluster = (how: "killed" | "frozen") =>
  Effect.gen(function* () {
    const { nodes, url } = yield* RedisCluster.start({ args: ["--cluster-require-full-coverage", "no"] })
    const [node] = nodes
    const fault =
      how === "killed" ? { fail: node!.kill, comeBack: node!.restart } : { fail: node!.freeze, comeBack: node!.thaw }
    return yield* through(url, { ...fault, isTotal: false }, how === "frozen" ? seconds(30) : undefined)
  })

Brokers.describeWith("redis", () => {
  scenario("35a · the server of the metadata store is killed and starts again, empty", ofServer("killed"))
  scenario("35b · the server of the metadata store is frozen for 30 s", ofServer("frozen"))
  scenario("36a · a node of the metadata store's cluster is killed and starts again, empty", ofCluster("killed"))
  scenario("36b · a node of the metadata store's cluster is frozen for 30 s", ofCluster("frozen"))
})
