/** The process of the service ends: asked to, with and without a database, and killed. */
import { NodeFileSystem } from "@effect/platform-node"
import { describe } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import { emptyFolder } from "../support/folder.ts"
import { embeddedDatabase } from "./embedded.ts"
import * as Fleet from "./Fleet.ts"
import * as Ledger from "./Ledger.ts"
import * as Replica from "./Replica.ts"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as ValueStore from "./ValueStore.ts"
import * as World from "./World.ts"

/** The last line of a process. */
const lastWord = (output: string) => {
  const [, written, lost] = /stopped: (\d+) pending entries written, (none|\d+) lost/.exec(output) ?? []
  return { written: Number(written ?? Number.NaN), lost: lost === "none" ? 0 : Number(lost ?? Number.NaN) }
}

const asked = Effect.gen(function* () {
  const { database, fleet, ledger, replica } = yield* World.make({
    agents: 50,
    replicas: [{ METADATA_FLUSH_INTERVAL: "1 hours" }]
  })
  yield* fleet.whileReporting(
    { to: () => replica.url, every: 100 },
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      yield* replica.kill("SIGTERM")
      yield* replica.exit
    })
  )
  const code = yield* replica.exit
  const { lost: counted, written } = lastWord(replica.output())
  return and(
    World.lossless(Ledger.outcome(ledger.compare(yield* database.rows), counted)),
    expect(written > 0, `the service says that it wrote ${written} at its end`),
    expect(code === 0, `it ended with ${code}`)
  )
})

const askedWithoutDatabase = Effect.gen(function* () {
  const { database, fleet, ledger, replica } = yield* World.make({ replicas: [{ SHUTDOWN_TIMEOUT: "4 seconds" }] })
  const elapsed = yield* fleet.whileReporting(
    { to: () => replica.url, every: 100 },
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      yield* database.stop("fast")
      yield* lasting("2 seconds")
      const start = yield* Clock.currentTimeMillis
      yield* replica.kill("SIGTERM")
      yield* replica.exit
      return (yield* Clock.currentTimeMillis) - start
    })
  )
  const { lost: counted } = lastWord(replica.output())
  yield* database.start
  const outcome = Ledger.outcome(ledger.compare(yield* database.rows), counted)
  return and(
    outcome,
    // values that are elsewhere are written without the database
    expect(ValueStore.isShared ? outcome.lost === 0 : outcome.lost > 0, `${outcome.lost} were pending`),
    expect(outcome.lost <= counted, `${outcome.lost} lost, of which ${counted} counted`),
    expect(elapsed < 6_000, `it took ${elapsed} ms to end, with 4 s for the last flush`)
  )
})

const killed = Effect.gen(function* () {
  const dataDir = yield* emptyFolder
  const env = { DATA_DIR: dataDir }
  const ledger = Ledger.make()
  const first = yield* Replica.start(env)
  const fleet = yield* Fleet.make({ ledger, url: first.url, agents: 20, keys: 5 })
  const { at, pending } = yield* fleet.whileReporting(
    { to: () => first.url, every: 100 },
    Effect.gen(function* () {
      yield* lasting("4 seconds")
      const metric = yield* first.metrics
      const at = yield* Clock.currentTimeMillis
      yield* first.kill("SIGKILL")
      yield* first.exit
      return { at, pending: metric("pending_keys") + metric("queue_depth") }
    })
  )
  const [elapsed, second] = yield* Effect.timed(Replica.start(env))
  const rows = yield* (yield* embeddedDatabase(second, dataDir)).rows

  // its database would outlive it, were it killed once more
  yield* second.kill("SIGTERM")
  yield* second.exit

  // a flush a second, and what it takes
  const early = ledger.compare(rows, at - 1_500).missing.length
  return and(
    Ledger.outcome(ledger.compare(rows), pending),
    expect(early === 0, `${early} keys lost values that were no longer pending`),
    expect(Duration.toMillis(elapsed) < 10_000, `the next start took ${Duration.format(elapsed)}`)
  )
}).pipe(Effect.provide(NodeFileSystem.layer))

describe("a process that ends", () => {
  scenario("5a · SIGTERM under load", asked)
  scenario("5b · SIGTERM while the database is away", askedWithoutDatabase)
  scenario("6 · SIGKILL, and the next start on the same folder", killed)
})
