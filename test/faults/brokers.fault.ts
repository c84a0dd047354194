/** The broker of the announcements is killed, frozen or cut off, or is away at the start. */
import { Clock, Effect, type Scope } from "effect"
import * as Brokers from "../support/brokers.ts"
import { freePort } from "../support/freePort.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"
import * as Database from "./Database.ts"
import * as Proxy from "./Proxy.ts"
import { and, expect, lasting, type Outcome, scenario, seconds } from "./scenario.ts"
import * as World from "./World.ts"

/** Two replicas with a broker, and agents that report to both in turn. */
const replicated = Effect.fnUntraced(function* (urls: readonly [here: string, there: string]) {
  const world = yield* World.make({ replicas: urls.map((url) => ({ PUBSUB_URL: url })) })
  const load = {
    to: (agent: number) => world.replicas[(agent + Math.floor(Math.random() * 2)) % 2]!.url,
    every: 250,
    hopAfter: 10
  }
  return { ...world, load }
})

/** Lets something happen to the broker while agents report, and checks the watchers before and after its return. */
const through = Effect.fnUntraced(function* <E>(
  { load, ...world }: Effect.Success<ReturnType<typeof replicated>>,
  fail: Effect.Effect<void, E, Scope.Scope>,
  comeBack: Effect.Effect<unknown, E, Scope.Scope>,
  pause = seconds(14)
) {
  const { away, after, alive, accepted } = yield* world.fleet.whileReporting(
    load,
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      const failedAt = yield* Clock.currentTimeMillis
      yield* fail
      const before = yield* world.fleet.reports
      yield* lasting(pause)
      // everything accepted until then was written at the latest a second later
      const away = World.stale(world, failedAt)
      const accepted = (yield* world.fleet.reports) - before
      yield* comeBack
      const returnedAt = yield* Clock.currentTimeMillis
      yield* lasting("2 seconds")
      const after = World.stale(world, returnedAt - 1_000)
      const alive = yield* Effect.forEach(world.replicas, ({ isAlive }) => isAlive)
      return { away, after, alive, accepted }
    })
  )
  const outcome = World.lossless(yield* World.look(world))
  return and(
    outcome,
    expect(away === 0, `watchers were behind in ${away} keys while the broker was away`),
    expect(after === 0, `watchers were behind in ${after} keys 2 s after the return of the broker`),
    expect(
      alive.every((is) => is),
      "a replica ended"
    ),
    expect(accepted > 0, "nothing was accepted while the broker was away")
  )
})

const killed = Effect.fnUntraced(function* (kind: Brokers.Kind) {
  const broker = yield* Brokers.start(kind)
  const replicas = yield* replicated([broker.url, broker.url])
  return yield* through(replicas, broker.kill, Brokers.start(kind, { port: broker.port }))
})

const frozen = Effect.fnUntraced(function* (kind: Brokers.Kind) {
  const broker = yield* Brokers.start(kind)
  const replicas = yield* replicated([broker.url, broker.url])
  return yield* through(replicas, broker.freeze, broker.thaw, seconds(30))
})

const cut = Effect.fnUntraced(function* (kind: Brokers.Kind) {
  const broker = yield* Brokers.start(kind)
  const proxy = yield* Proxy.make(broker.url)
  const replicas = yield* replicated([broker.url, proxy.url])
  const cutOff = Effect.andThen(proxy.leadTo(1), proxy.cut)
  return yield* through(replicas, cutOff, proxy.leadTo(broker.port))
})

const awayAtStart = Effect.fnUntraced(function* (kind: Brokers.Kind) {
  const database = yield* Database.make()
  const port = yield* freePort
  const settings = { PORT: "0", DATABASE_URL: database.url, PUBSUB_URL: `${kind}://me:hunter2@127.0.0.1:${port}` }
  const service = yield* ServiceProcess.start(["serve"], settings)
  const code = yield* service.exit
  const sentences = service
    .output()
    .split("\n")
    .filter((line) => line.includes("set PUBSUB_URL to"))
  const outcome: Outcome = {
    accepted: 0,
    present: 0,
    lost: 0,
    counted: 0,
    problems: [
      ...expect(code === 1, `the exit code was ${code}`),
      ...expect(sentences.length === 1, `there were ${sentences.length} sentences about the broker`),
      ...expect(!service.output().includes("hunter2"), "the password was printed")
    ]
  }
  return outcome
})

for (const kind of ["nats", "redis"] as const) {
  Brokers.describeWith(kind, () => {
    scenario(`30a · the broker (${kind}) is killed and starts again`, killed(kind))
    scenario(`30b · the broker (${kind}) is frozen for 30 s`, frozen(kind))
    scenario(`30c · the broker (${kind}) is cut off from one of two replicas`, cut(kind))
    scenario(`30d · the broker (${kind}) is away at the start`, awayAtStart(kind))
  })
}
