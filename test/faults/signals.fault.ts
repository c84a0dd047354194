/** A terminal, a pipe or an init system goes away while the service works, or asks it to end while it starts. */
import { describe } from "@effect/vitest"
import { Effect, FileSystem, Option } from "effect"
import { readFileSync } from "node:fs"
import * as Path from "node:path"
import * as ServiceProcess from "../support/serviceProcess.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Database from "./Database.ts"
import { embeddedDatabase } from "./embedded.ts"
import * as Fleet from "./Fleet.ts"
import * as Ledger from "./Ledger.ts"
import * as Replica from "./Replica.ts"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as World from "./World.ts"

const closedPipe = Effect.gen(function* () {
  const world = yield* World.make({ replicas: [{ LOG_LEVEL: "debug" }] })
  const { database, fleet, ledger, replica } = world
  const alive = yield* fleet.whileReporting(
    { to: () => replica.url, every: 250 },
    Effect.gen(function* () {
      yield* lasting("2 seconds")
      yield* replica.closeOutput
      // the service has something to log
      yield* database.terminateAll
      yield* lasting("5 seconds")
      return yield* replica.isAlive
    })
  )
  if (!alive) return { ...nothing, problems: ["the process ended when its output was closed"] }
  const outcome = World.lossless(yield* World.look(world))
  yield* replica.kill("SIGTERM")
  const code = Option.getOrUndefined(yield* Effect.timeoutOption(replica.exit, "20 seconds"))
  const { missing } = ledger.compare(yield* database.rows)
  return and(
    outcome,
    expect(missing.length === 0, `${missing.length} lost at the end`),
    expect(code === 0, `the process ended with ${code}`)
  )
})

const nothing = { accepted: 0, present: 0, lost: 0, counted: 0 }

/** The processes that have the folder in their command line. */
const serversOn = (dataDir: string) =>
  FileSystem.FileSystem.use((fs) => fs.readDirectory("/proc")).pipe(
    Effect.map((entries) => entries.filter((entry) => /^\d+$/.test(entry) && commandOf(entry).includes(dataDir))),
    Effect.orDie
  )

const commandOf = (pid: string) => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8")
  } catch {
    return ""
  }
}

const hangup = Effect.gen(function* () {
  const dataDir = yield* emptyFolder
  const env = { DATA_DIR: dataDir, METADATA_FLUSH_INTERVAL: "1 hours" }
  const ledger = Ledger.make()
  const first = yield* Replica.start(env)
  const fleet = yield* Fleet.make({ ledger, url: first.url, agents: 10, keys: 5 })
  const code = yield* fleet.whileReporting(
    { to: () => first.url, every: 100 },
    Effect.gen(function* () {
      yield* lasting("2 seconds")
      yield* first.kill("SIGHUP")
      return Option.getOrUndefined(yield* Effect.timeoutOption(first.exit, "20 seconds"))
    })
  )
  const left = yield* serversOn(dataDir)
  const second = yield* Replica.start(env)
  const compared = ledger.compare(yield* (yield* embeddedDatabase(second, dataDir)).rows)
  yield* second.kill("SIGTERM")
  yield* second.exit
  return and(
    World.lossless(Ledger.outcome(compared)),
    expect(code === 0, `the process ended with ${code}`),
    expect(left.length === 0, `${left.length} processes of its database were left behind`)
  )
})

/** Whether the handlers of a program are there: Node itself handles SIGTERM, in vain as process 1, but not SIGHUP. */
const hearsSignals = (pid: string) => {
  const [, caught = "0"] = /^SigCgt:\s+([\da-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
  return (BigInt(`0x${caught}`) & 1n) !== 0n
}

/** As process 1, to which a signal without a handler means nothing. */
const duringStart = Effect.gen(function* () {
  const database = yield* Database.make()
  const env = { ...Replica.settings(), DATABASE_URL: database.url }
  const problems: Array<string> = []
  for (const millis of [0, 100, 200, 400, 800]) {
    const service = yield* ServiceProcess.startThrough(ServiceProcess.isolated, ["serve"], env)
    const children = Path.join("/proc", String(service.pid), "task", String(service.pid), "children")
    const child = yield* World.settle(
      Effect.sync(() => readFileSync(children, "utf8").trim()),
      (pid) => pid !== ""
    )
    // no program hears a signal before it runs
    yield* World.settle(
      Effect.sync(() => hearsSignals(child)),
      (hears) => hears
    )
    yield* lasting(millis)
    yield* Effect.sync(() => process.kill(Number(child), "SIGTERM"))
    const code = yield* Effect.timeoutOption(service.exit, "8 seconds")
    problems.push(...expect(Option.isSome(code), `SIGTERM after ${millis} ms of the start was ignored`))
    yield* service.killAll("SIGKILL")
  }
  return { ...nothing, problems }
})

describe("signals and pipes", () => {
  scenario("22a · The reading end of the log is closed under load", closedPipe)
  scenario("22b · SIGHUP under load, with an embedded database", hangup)
  scenario("22c · SIGTERM while the service starts as process 1", duringStart)
})
