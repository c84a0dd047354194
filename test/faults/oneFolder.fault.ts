/** Two processes of the service, which cannot see each other, are given one data folder. */
import { describe } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Path from "node:path"
import * as ServiceProcess from "../support/serviceProcess.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Fleet from "./Fleet.ts"
import * as Ledger from "./Ledger.ts"
import * as Replica from "./Replica.ts"
import { embeddedDatabase } from "./embedded.ts"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as World from "./World.ts"

const shared = Effect.gen(function* () {
  const dataDir = yield* emptyFolder
  const env = { ...Replica.settings(), DATA_DIR: dataDir }
  const start = ServiceProcess.startThrough(ServiceProcess.isolated, ["serve"], env)
  const first = yield* Effect.flatMap(start, Replica.ready)
  const ledger = Ledger.make()
  const fleet = yield* Fleet.make({ ledger, url: first.url, agents: 10, keys: 5 })
  const ended = yield* fleet.whileReporting(
    { to: () => first.url, every: 100 },
    Effect.gen(function* () {
      yield* lasting("2 seconds")
      const second = yield* start
      const ended = yield* Effect.timeoutOption(second.exit, "30 seconds")
      yield* lasting("2 seconds")
      return { code: ended, output: second.output() }
    })
  )
  const database = yield* embeddedDatabase(first, dataDir)
  // within three seconds
  const compared = yield* World.settle(
    Effect.map(database.rows, (rows) => ledger.compare(rows)),
    ({ missing }) => missing.length === 0,
    15
  )
  const health = yield* first.isAlive
  yield* first.killAll("SIGTERM")
  yield* Effect.timeoutOption(first.exit, "20 seconds")

  // the lock dies with its holder, whatever its process id was
  const third = yield* Effect.flatMap(start, Replica.ready)
  const after = ledger.compare(yield* (yield* embeddedDatabase(third, dataDir)).rows)
  yield* third.killAll("SIGKILL")
  yield* third.exit
  const fourth = yield* Effect.flatMap(start, Replica.ready)
  yield* fourth.killAll("SIGTERM")
  yield* Effect.timeoutOption(fourth.exit, "20 seconds")
  return and(
    World.lossless(Ledger.outcome(compared)),
    expect(after.missing.length === 0, `${after.missing.length} lost after the next start`),
    expect(health, "the first process no longer works"),
    expect(Option.isSome(ended.code), "a second server runs on the folder"),
    expect(
      Option.isNone(ended.code) || ended.code.value !== 0,
      `the second process ended with ${String(Option.getOrUndefined(ended.code))}`
    ),
    expect(ended.output.includes(Path.basename(dataDir)), "the second process does not name the folder")
  )
})

describe("one data folder", () => {
  scenario("21 · Two processes in PID namespaces of their own use one data folder", shared)
})
