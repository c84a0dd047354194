/** Two replicas behind a balancer are replaced one after the other. */
import { Clock, Effect, FileSystem, Scope } from "effect"
import * as Path from "node:path"
import { freePort } from "../support/freePort.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Nginx from "../support/nginx.ts"
import * as Programs from "../support/programs.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"
import * as Database from "./Database.ts"
import * as Fleet from "./Fleet.ts"
import * as Ledger from "./Ledger.ts"
import * as Replica from "./Replica.ts"
import { and, expect, lasting, scenario } from "./scenario.ts"
import * as World from "./World.ts"

/** Starts a balancer in front of replicas, and returns its address. */
const balancer = Effect.fnUntraced(function* (replicas: ReadonlyArray<number>) {
  const folder = yield* emptyFolder
  const port = yield* freePort
  const { args, files } = Nginx.nginx({ folder, port, services: replicas.map((port) => `127.0.0.1:${port}`) }, false)
  const fs = yield* FileSystem.FileSystem
  for (const [name, text] of Object.entries(files)) yield* fs.writeFileString(Path.join(folder, name), text)
  yield* ServiceProcess.startCommand(Programs.pathOf("nginx")!, args)
  const url = `http://127.0.0.1:${port}`
  yield* World.settle(
    Effect.promise(() =>
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false
      )
    ),
    (ok) => ok
  )
  return url
})

const rollout = Effect.gen(function* () {
  // a replica that takes over lives on after the load
  const scope = yield* Effect.scope
  const database = yield* Database.make()
  const ledger = Ledger.make()
  const ports = [yield* freePort, yield* freePort]
  const settings = { DATABASE_URL: database.url, DRAIN_DELAY: "1 second", DRAIN_TIME: "4 seconds" }
  const startAt = (port: number) => Replica.start({ ...settings, PORT: `${port}` })
  const replicas = yield* Effect.forEach(ports, startAt)
  const url = yield* balancer(ports)
  const fleet = yield* Fleet.make({ ledger, url, agents: 40, keys: 5 })
  yield* database.witness

  const { outputs, times } = yield* fleet.whileReporting(
    { to: () => url, every: 250 },
    Effect.gen(function* () {
      yield* lasting("3 seconds")
      const outputs: Array<string> = []
      const times: Array<number> = []
      for (const [index, replica] of replicas.entries()) {
        times.push(yield* Clock.currentTimeMillis)
        yield* replica.kill("SIGTERM")
        yield* replica.exit
        times.push(yield* Clock.currentTimeMillis)
        outputs.push(replica.output())
        yield* Scope.provide(startAt(ports[index]!), scope)
        times.push(yield* Clock.currentTimeMillis)
        yield* lasting("3 seconds")
      }
      return { outputs, times }
    })
  )
  const compared = yield* World.settle(
    Effect.map(database.rows, (rows) => ledger.compare(rows)),
    ({ missing }) => missing.length === 0
  )
  const gap = ledger.longestGap()
  return and(
    World.lossless(Ledger.outcome(compared)),
    expect(compared.invented === 0, `${compared.invented} rows hold values that nobody sent`),
    expect((yield* database.regressions) === 0, "an older value was put over a newer one"),
    expect(
      outputs.every((output) => output.includes("none lost")),
      "a replica lost entries"
    ),
    expect(
      gap.millis < 2_000,
      `an agent was away for ${gap.millis} ms; from the end of a replica and the start of the next: ${times.map((time) => gap.from - time).join(", ")} ms`
    )
  )
})

Programs.describeWith("nginx", () => {
  scenario("37 · two replicas behind a balancer are replaced one after the other", rollout)
})
