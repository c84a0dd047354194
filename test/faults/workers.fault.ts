/** Processes of a service of several workers are killed. */
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { childrenOf } from "../support/children.ts"
import * as Ledger from "./Ledger.ts"
import { and, expect, lasting, scenario, seconds } from "./scenario.ts"
import * as World from "./World.ts"

const workers = 4

/** A service of workers that write each second, or when they stop. */
const make = (flushInterval: string) =>
  World.make({ agents: 60, replicas: [{ WORKERS: String(workers), METADATA_FLUSH_INTERVAL: flushInterval }] })

/** Kills the worker that was started so many places after the oldest one. */
const killWorker = ({ replica }: World.World, place: number) =>
  Effect.sync(() => process.kill(childrenOf(replica.pid)[place]!, "SIGKILL"))

/** Waits until every agent was accepted, because connecting takes longer on a busy machine. Returns what is missing. */
const allAccepted = ({ fleet, ledger }: World.World) =>
  World.settle(
    Effect.sync(() => fleet.ids.length * fleet.keys.length - ledger.compare([]).accepted),
    (missing) => missing === 0
  ).pipe(Effect.map((missing) => expect(missing === 0, `${missing} keys were never accepted`)))

const killedUnderLoad = Effect.gen(function* () {
  const world = yield* make("1 second")
  const { fleet, ledger, replica } = world
  const { connected, silent } = yield* fleet.whileReporting(
    { to: () => replica.url, every: 250 },
    Effect.gen(function* () {
      const connected = yield* allAccepted(world)
      for (const place of [0, 1, 2]) {
        yield* lasting(seconds(3))
        yield* killWorker(world, place)
      }
      // agents of the last one come back as fast as the machine lets them
      const last = yield* fleet.now
      const silent = yield* World.settle(
        Effect.sync(() => ledger.silentSince(last)),
        (silent) => silent === 0
      )
      return { connected, silent }
    })
  )
  const outcome = yield* World.look(world)
  const left = yield* replica.unaccounted
  const running = childrenOf(replica.pid).length
  return and(
    outcome,
    connected,
    expect(silent === 0, `${silent} keys were not reported again after the last worker was killed`),
    expect(outcome.lost === 0, `${outcome.lost} lost although their agents went on`),
    expect(left === 0, `${left} accepted entries are nowhere in the figures`),
    expect(running === workers, `${running} workers are running`)
  )
})

const killedWithAllPending = Effect.gen(function* () {
  const world = yield* make("1 hour")
  const { database, fleet, ledger, replica } = world
  const connected = yield* fleet.whileReporting(
    { to: () => replica.url, every: 250 },
    Effect.tap(allAccepted(world), lasting("3 seconds"))
  )
  // of every worker, once no report waits that may replace what is pending
  const waiting = Effect.map(replica.metrics, (metric) => [metric("pending_keys"), metric("queue_depth")] as const)
  const [pending] = yield* World.settle(waiting, ([, depth]) => depth === 0)
  yield* killWorker(world, 1)
  const counted = Effect.map(replica.metrics, (metric) => metric("lost_keys_total"))
  // a request on its way to the killed worker fails
  yield* World.settle(
    Effect.catchDefect(counted, () => Effect.succeed(0)),
    (lost) => lost > 0
  )
  yield* replica.kill("SIGTERM")
  yield* replica.exit
  const [, written, lost] = /stopped: (\d+) pending entries written, (\d+) lost/.exec(replica.output()) ?? []
  const outcome = Ledger.outcome(ledger.compare(yield* database.rows), Number(lost))
  return and(
    outcome,
    connected,
    expect(outcome.lost > 0, "nothing was pending in the killed worker"),
    expect(outcome.lost === Number(lost), `${outcome.lost} lost, of which ${lost} counted`),
    expect(Number(written) + Number(lost) === pending, `of ${pending} pending, ${written} were written`)
  )
})

const killedPrimary = Effect.gen(function* () {
  const { database, fleet, ledger, replica } = yield* make("1 hour")
  yield* fleet.whileReporting(
    { to: () => replica.url, every: 250 },
    Effect.gen(function* () {
      yield* lasting(seconds(3))
      yield* replica.kill("SIGKILL")
      // its output ends with its last worker
      yield* replica.exit
    })
  )
  return World.lossless(Ledger.outcome(ledger.compare(yield* database.rows)))
})

describe("a process of a service of several workers", () => {
  scenario("32a · workers are killed under load", killedUnderLoad)
  scenario("32b · a worker is killed with everything pending", killedWithAllPending)
  scenario("32c · the primary is killed", killedPrimary)
})
