/**
 * The service as a process: its welcome, the lines of its demonstration, and its last line.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import {
  Console,
  type Context,
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
import * as StartAttempts from "./platform/StartAttempts.ts"
import { EmbeddedPostgres } from "./postgres/EmbeddedPostgres.ts"
import * as Fatal from "./telemetry/Fatal.ts"
import * as MetricSeries from "./telemetry/MetricSeries.ts"
import * as WorkerMetrics from "./telemetry/WorkerMetrics.ts"
import { Worker } from "./workers/Worker.ts"

/** Runs until it is interrupted, or fails when the service loses something that it needs. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  const worker = yield* Worker
  let before: number | undefined
  // the first finalizer runs last, after the whole server has ended
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(Effect.context<never>(), (context) => {
      const { entries, lost } = writtenIn(context)
      if (worker !== undefined) {
        return worker.stopped(entries - (before ?? entries), { series: MetricSeries.read(context), agents: [] })
      }
      return before === undefined ? Effect.void : Console.log(lastLine(entries - before, lost))
    })
  )
  const startup = { isComplete: false, isDraining: false }
  const services = yield* Effect.provideService(Layer.build(Server.layer(settings)), Startup, startup)
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(written, ({ entries }) => {
      before = entries
      return worker === undefined ? Console.log(stoppingLine) : Effect.void
    })
  )

  yield* Effect.addFinalizer((exit) => {
    startup.isDraining = true
    if (!Exit.hasInterrupts(exit)) return Effect.void
    const draining = Effect.provideContext(drain(settings, worker?.hastened ?? nextSignal), services)
    return worker === undefined ? Effect.andThen(drainNotice(settings), draining) : draining
  })

  return yield* Effect.gen(function* () {
    const { failure } = yield* Fatal.Fatal
    const url = yield* address
    if (worker !== undefined) {
      startup.isComplete = true
      return yield* Effect.andThen(worker.ready(url), failure)
    }
    const embedded = yield* Effect.serviceOption(EmbeddedPostgres)
    const tokens = yield* makeTokens(settings, embedded)
    startup.isComplete = true
    yield* Console.log(welcome({ url, embedded, ...tokens }))
    return yield* Effect.raceFirst(failure, hasDemo(settings) ? demonstrate(settings, url, written) : Effect.never)
  }).pipe(Effect.provideContext(services))
})

/** Tries again for 30 s: the database may have gone since the migration. */
const whileAway = <A, E extends { readonly _tag: string }, R>(self: Effect.Effect<A, E, R>) =>
  Effect.retry(self, {
    while: ({ _tag }) => _tag === "DirectoryUnavailable",
    schedule: StartAttempts.schedule("30 seconds")
  })

/** Makes the tokens that the first lines name. */
export const makeTokens = Effect.fnUntraced(function* (
  settings: Settings,
  embedded: Option.Option<EmbeddedPostgres["Service"]>
) {
  const path = Path.resolve(settings.dataDir, "admin-token")
  const minted = yield* whileAway(Administrator.ensure(settings.adminToken, saveToken(path)))
  return { fragment: yield* whileAway(signIn(settings, embedded)), tokenFile: Option.as(minted, path) }
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

/** The line of a service that begins to stop. */
export const stoppingLine = "stopping: no more connections, writing what is pending"

/** The last line of a service that has written so many pending entries and lost so many. */
export const lastLine = (written: number, lost: number): string =>
  `stopped: ${written} pending entries written, ${lost === 0 ? "none" : lost} lost`

/** The longest time for which a service goes on after SIGTERM until its connections have ended. */
export const drainLimit = ({ drainDelay = Duration.zero, drainTime = Duration.zero }: Settings) =>
  Duration.sum(drainDelay, drainTime)

/** Says how long the connections may take to end, if they may take longer than a moment. */
export const drainNotice = (settings: Settings) => {
  const longest = drainLimit(settings)
  return Duration.isZero(longest)
    ? Effect.void
    : Console.log(`draining: connections end within ${Duration.format(longest)}, or at once after another signal`)
}

/** Lets balancers notice that the service stops, and then its clients move. `hasten` ends the wait for both. */
const drain = Effect.fnUntraced(function* (settings: Settings, hasten: Effect.Effect<void>) {
  const { drainDelay = Duration.zero, drainTime = Duration.zero } = settings
  if (Duration.isZero(drainLimit(settings))) return
  const { run } = yield* Drain.Drain
  const hastened = yield* Effect.forkScoped(hasten, { startImmediately: true })
  yield* Effect.raceFirst(Effect.sleep(drainDelay), Fiber.join(hastened))
  yield* run(drainTime, Fiber.join(hastened))
}, Effect.scoped)

/** Returns at the next SIGTERM or SIGINT. */
export const nextSignal = Effect.callback<void>((resume) => {
  const onSignal = () => resume(Effect.void)
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, onSignal)
  return Effect.sync(() => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.removeListener(signal, onSignal)
  })
})

/** The address at which the service of this process is reached. */
const address = Effect.map(HttpServer.HttpServer, (server) =>
  NetAddress.formatUrlUnsafe(server.address).replace(/\/\/(0\.0\.0\.0|\[::\])/, "//127.0.0.1")
)

/**
 * Returns the fragment that the address of the dashboard ends in. On loopback and over the embedded database it signs in,
 * with a token that is derived from the password of that database: so it is the same after each start, an open page stays
 * signed in, and it gives no right that the password does not give.
 */
const signIn = Effect.fnUntraced(function* ({ host }: Settings, embedded: Option.Option<EmbeddedPostgres["Service"]>) {
  if (Option.isNone(embedded) || !isLoopback(host)) return ""
  const password = Redacted.make(new URL(Redacted.value(embedded.value.url)).password)
  const token = yield* Token.derive(password, "dashboard")
  const directory = yield* Directory
  yield* directory.putToken({
    username: Administrator.username,
    name: "dashboard",
    token: yield* Token.digest(token)
  })
  return `#token=${Redacted.value(token)}`
})

/** Returns the first lines of a service. */
export const welcome = (options: {
  readonly url: string
  readonly fragment: string
  readonly embedded: Option.Option<EmbeddedPostgres["Service"]>
  /** The file of the administrator's token, if it was made at this start. */
  readonly tokenFile: Option.Option<string>
}): string =>
  [
    `ready at ${options.url}`,
    `  dashboard              ${options.url}/${options.fragment}`,
    `  guide and API          ${options.url}/docs`,
    `  metrics                ${options.url}/metrics`,
    ...Option.match(options.embedded, {
      onNone: () => ["  database               DATABASE_URL"],
      onSome: ({ database, host, passwordFile, port, username }) => [
        `  database               embedded: postgresql://${username}@${host}:${port}/${database}`,
        `                         with the password in ${passwordFile}`
      ]
    }),
    ...Option.match(options.tokenFile, {
      onNone: () => [],
      onSome: (path) => [
        `  administrator's token  in ${path}`,
        "                         (made at this first start: keep it, or set ADMIN_TOKEN)"
      ]
    })
  ].join("\n")

/** The work of a service's batchers since its start. */
export interface Written {
  readonly entries: number
  readonly statements: number
  readonly lost: number
}

/** Whether simulated agents run beside the service: never beside a database of somebody else. */
export const hasDemo = ({ databaseUrl, demoAgents }: Settings): boolean => databaseUrl === undefined && demoAgents > 0

/** Runs the simulated agents of the settings, and prints a line about them now and then. */
export const demonstrate = Effect.fnUntraced(function* <E, R>(
  { demoAgents: agents }: Settings,
  url: string,
  written: Effect.Effect<Written, E, R>
) {
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

/** Returns what a registry says of the batchers. */
export const writtenIn = (context: Context.Context<never>): Written => {
  type Counter = Metric.Metric<number, Metric.CounterState<number>>
  const count = (metric: Counter) => metric.valueUnsafe(context).count
  const sum = (metrics: Readonly<Record<string, Counter>>) => Number.sumAll(Object.values(metrics).map(count))
  return {
    entries: count(Metrics.flushed),
    statements: sum(Metrics.batches),
    lost: sum(Metrics.lostKeys) + count(WorkerMetrics.lostKeys)
  }
}

const written = Effect.map(Effect.context<never>(), writtenIn)
