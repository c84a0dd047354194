/**
 * The service as a process: what it says when it is ready, what it shows of a demonstration, what it says when it stops.
 */
import type { Metric } from "effect"
import { Console, Effect, Layer, Option, Redacted, Schedule } from "effect"
import { HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import * as Token from "./access/Token.ts"
import * as Metrics from "./batcher/MetadataBatcherMetrics.ts"
import type { Settings } from "./Config.ts"
import * as Demo from "./fleet/Demo.ts"
import * as Fleet from "./fleet/Fleet.ts"
import * as Simulation from "./fleet/Simulation.ts"
import * as Administrator from "./http/Administrator.ts"
import * as Server from "./Server.ts"
import { EmbeddedPostgres } from "./storage/EmbeddedPostgres.ts"
import * as Fatal from "./telemetry/Fatal.ts"

/** Runs until it is interrupted, or fails with what the service cannot go on without. */
export const run = Effect.fnUntraced(function* (settings: Settings) {
  let before: number | undefined
  // the first to be added runs last, when all of the server has ended
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(written, ({ entries, lost }) =>
      before === undefined
        ? Effect.void
        : Console.log(`stopped: ${entries - before} pending entries written, ${lost === 0 ? "none" : lost} lost`)
    )
  )
  const services = yield* Layer.build(Server.layer(settings))
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(written, ({ entries }) => {
      before = entries
      return Console.log("stopping: no more connections, writing what is pending")
    })
  )

  return yield* Effect.gen(function* () {
    const { failure } = yield* Fatal.Fatal
    const url = yield* address
    const minted = yield* Administrator.ensure(settings.adminToken)
    yield* Console.log(welcome(url, yield* Effect.serviceOption(EmbeddedPostgres), minted))
    const demo =
      settings.databaseUrl === undefined && settings.demoAgents > 0 ? demonstrate(settings, url) : Effect.never
    return yield* Effect.raceFirst(failure, demo)
  }).pipe(Effect.provideContext(services))
})

const address = Effect.map(HttpServer.HttpServer, (server) =>
  NetAddress.formatUrlUnsafe(server.address).replace(/\/\/(0\.0\.0\.0|\[::\])/, "//127.0.0.1")
)

const welcome = (
  url: string,
  embedded: Option.Option<EmbeddedPostgres["Service"]>,
  minted: Option.Option<Token.Token>
): string =>
  [
    `ready at ${url}`,
    `  API and documentation  ${url}/docs`,
    `  metrics                ${url}/metrics`,
    ...Option.match(embedded, {
      onNone: () => ["  database               DATABASE_URL"],
      onSome: ({ database, host, passwordFile, port, username }) => [
        `  database               embedded: postgresql://${username}@${host}:${port}/${database}`,
        `                         with the password in ${passwordFile}`
      ]
    }),
    ...Option.match(minted, {
      onNone: () => [],
      onSome: (token) => [
        `  administrator's token  ${Redacted.value(token)}`,
        "                         (shown this once: keep it, or set ADMIN_TOKEN)"
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

/** What the batcher of this process has written and lost. */
const written = Effect.map(Effect.context<never>(), (context) => {
  const count = (metric: Metric.Metric<number, Metric.CounterState<number>>) => metric.valueUnsafe(context).count
  const sum = (metrics: Readonly<Record<string, Metric.Metric<number, Metric.CounterState<number>>>>) =>
    Object.values(metrics).reduce((total, metric) => total + count(metric), 0)
  return { entries: count(Metrics.flushed), statements: sum(Metrics.batches), lost: sum(Metrics.lostKeys) }
})
