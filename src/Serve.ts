/**
 * The service as a process: its welcome, the lines of its demonstration, and its last line.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import {
  Console,
  Data,
  Duration,
  Effect,
  Exit,
  Fiber,
  FileSystem,
  Layer,
  type Metric,
  Number,
  Option,
  type PlatformError,
  Redacted,
  Schedule
} from "effect"
import { HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import * as Path from "node:path"
import * as Token from "./access/Token.ts"
import * as Metrics from "./metadata/MetadataBatcherMetrics.ts"
import type { Settings } from "./Config.ts"
import * as Demo from "./fleet/Demo.ts"
import * as Fleet from "./fleet/Fleet.ts"
import * as Simulation from "./fleet/Simulation.ts"
import * as Administrator from "./admin/Administrator.ts"
import { Directory } from "./admin/Directory.ts"
import * as Server from "./Server.ts"
import { isLoopback } from "./operations/MetricsPage.ts"
import { Startup } from "./operations/Readiness.ts"
import * as Drain from "./platform/Drain.ts"
import { EmbeddedPostgres } from "./postgres/EmbeddedPostgres.ts"
import * as Fatal from "./telemetry/Fatal.ts"

/** Runs until it is interrupted, or fails when the service loses something that it needs. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  let before: number | undefined
  // the first finalizer runs last, after the whole server has ended
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(written, ({ entries, lost }) =>
      before === undefined
        ? Effect.void
        : Console.log(`stopped: ${entries - before} pending entries written, ${lost === 0 ? "none" : lost} lost`)
    )
  )
  const startup = { isComplete: false, isDraining: false }
  const services = yield* Effect.provideService(Layer.build(Server.layer(settings)), Startup, startup)
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(written, ({ entries }) => {
      before = entries
      return Console.log("stopping: no more connections, writing what is pending")
    })
  )

  yield* Effect.addFinalizer((exit) => {
    startup.isDraining = true
    return Exit.hasInterrupts(exit) ? Effect.provideContext(drain(settings), services) : Effect.void
  })

  return yield* Effect.gen(function* () {
    const { failure } = yield* Fatal.Fatal
    const url = yield* address
    const tokenFile = Path.resolve(settings.dataDir, "admin-token")
    const minted = yield* Administrator.ensure(settings.adminToken, saveToken(tokenFile))
    const embedded = yield* Effect.serviceOption(EmbeddedPostgres)
    const link = yield* dashboard(settings, url, embedded)
    startup.isComplete = true
    yield* Console.log(welcome(url, link, embedded, Option.as(minted, tokenFile)))
    const demo =
      settings.databaseUrl === undefined && settings.demoAgents > 0 ? demonstrate(settings, url) : Effect.never
    return yield* Effect.raceFirst(failure, demo)
  }).pipe(Effect.provideContext(services))
})

/** The token that was made for the administrator cannot be kept, so it was not made valid. */
export class TokenNotSaved extends Data.TaggedError("TokenNotSaved")<{
  readonly path: string
  readonly cause: PlatformError.PlatformError
}> {
  override get message() {
    return `cannot write the administrator's token to ${this.path} (${this.cause.message}): set ADMIN_TOKEN, or DATA_DIR to a folder that can be written`
  }
}

/** Writes a token to a file that its owner alone may read. */
const saveToken = (path: string) =>
  Effect.fn("saveToken")(
    function* (token: Token.Token) {
      const fs = yield* FileSystem.FileSystem
      yield* fs.makeDirectory(Path.dirname(path), { recursive: true, mode: 0o700 })
      // an old file would keep its rights
      yield* fs.remove(path, { force: true })
      yield* fs.writeFileString(path, `${Redacted.value(token)}\n`, { flag: "wx", mode: 0o600 })
    },
    Effect.mapError((cause) => new TokenNotSaved({ path, cause })),
    Effect.provide(NodeFileSystem.layer)
  )

/** Lets balancers notice that the service stops, and then its clients move. A second signal hastens both. */
const drain = Effect.fnUntraced(function* ({ drainDelay = Duration.zero, drainTime = Duration.zero }: Settings) {
  const longest = Duration.sum(drainDelay, drainTime)
  if (Duration.isZero(longest)) return
  yield* Console.log(`draining: connections end within ${Duration.format(longest)}, or at once after another signal`)
  const { run } = yield* Drain.Drain
  const hastened = yield* Effect.forkScoped(nextSignal, { startImmediately: true })
  yield* Effect.raceFirst(Effect.sleep(drainDelay), Fiber.join(hastened))
  yield* run(drainTime, Fiber.join(hastened))
}, Effect.scoped)

const nextSignal = Effect.callback<void>((resume) => {
  const onSignal = () => resume(Effect.void)
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, onSignal)
  return Effect.sync(() => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.removeListener(signal, onSignal)
  })
})

const address = Effect.map(HttpServer.HttpServer, (server) =>
  NetAddress.formatUrlUnsafe(server.address).replace(/\/\/(0\.0\.0\.0|\[::\])/, "//127.0.0.1")
)

/**
 * The address of the dashboard. On loopback and over the embedded database the address signs in, with a token that is
 * derived from the password of that database: so it is the same after each start, an open page stays signed in, and it
 * gives no right that the password does not give.
 */
const dashboard = Effect.fnUntraced(function* (
  { host }: Settings,
  url: string,
  embedded: Option.Option<EmbeddedPostgres["Service"]>
) {
  if (Option.isNone(embedded) || !isLoopback(host)) return `${url}/`
  const password = Redacted.make(new URL(Redacted.value(embedded.value.url)).password)
  const token = yield* Token.derive(password, "dashboard")
  const directory = yield* Directory
  yield* directory.putToken({
    username: Administrator.username,
    name: "dashboard",
    token: yield* Token.digest(token)
  })
  return `${url}/#token=${Redacted.value(token)}`
})

const welcome = (
  url: string,
  dashboard: string,
  embedded: Option.Option<EmbeddedPostgres["Service"]>,
  tokenFile: Option.Option<string>
): string =>
  [
    `ready at ${url}`,
    `  dashboard              ${dashboard}`,
    `  guide and API          ${url}/docs`,
    `  metrics                ${url}/metrics`,
    ...Option.match(embedded, {
      onNone: () => ["  database               DATABASE_URL"],
      onSome: ({ database, host, passwordFile, port, username }) => [
        `  database               embedded: postgresql://${username}@${host}:${port}/${database}`,
        `                         with the password in ${passwordFile}`
      ]
    }),
    ...Option.match(tokenFile, {
      onNone: () => [],
      onSome: (path) => [
        `  administrator's token  in ${path}`,
        "                         (made at this first start: keep it, or set ADMIN_TOKEN)"
      ]
    })
  ].join("\n")

const demonstrate = Effect.fnUntraced(function* ({ demoAgents: agents }: Settings, url: string) {
  const demo = yield* Demo.make({ url, agents })
  const query = `${Token.parameter}=${Redacted.value(demo.token)}`
  yield* Console.log(
    [
      `${agents} simulated agents report every two seconds; watch one of them with`,
      `  curl -N '${url}/api/v2/workspaceagents/${demo.watched.id}/watch-metadata?${query}'`
    ].join("\n")
  )
  let before = { reports: 0, entries: 0 }
  const line = Effect.gen(function* () {
    const { entries, lost, statements } = yield* written
    const reports = Fleet.reports(demo.figures)
    const rate = (reports - before.reports) / 5
    const fresh = entries - before.entries
    before = { reports, entries }
    yield* Console.log(
      `${Simulation.describe(agents, demo.figures, rate)}; entries written: ${entries} (${fresh} new), flushes: ${statements}, lost: ${lost}`
    )
  })
  return yield* Effect.raceFirst(
    Effect.andThen(demo.run, Effect.never),
    Effect.andThen(Effect.schedule(line, Schedule.spaced("5 seconds")), Effect.never)
  )
})

/** The entries that the batcher of this process has written and lost. */
const written = Effect.map(Effect.context<never>(), (context) => {
  type Counter = Metric.Metric<number, Metric.CounterState<number>>
  const count = (metric: Counter) => metric.valueUnsafe(context).count
  const sum = (metrics: Readonly<Record<string, Counter>>) => Number.sumAll(Object.values(metrics).map(count))
  return { entries: count(Metrics.flushed), statements: sum(Metrics.batches), lost: sum(Metrics.lostKeys) }
})
