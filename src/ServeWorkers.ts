/**
 * The service as several processes, of which a primary keeps a number of workers running.
 *
 * - The primary brings the schema up to date, runs the embedded database, makes the administrator's token, says where the
 *   service is, and runs its demonstration. It accepts connections and hands each to a worker; it serves none itself.
 * - The limits of connections and the pool of the database are those of the service: each worker has its share.
 * - SIGTERM and Ctrl-C end all workers, each after it has written everything pending, and then the embedded database.
 * - Workers of a primary that was killed write everything pending, and end.
 */
import { Console, Context, Effect, Exit, Layer, Option, Clock, Duration, Redacted } from "effect"
import Cluster from "node:cluster"
import * as Os from "node:os"
import * as Config from "./Config.ts"
import * as Database from "./Database.ts"
import * as ServiceFigures from "./operations/ServiceFigures.ts"
import * as FreePort from "./platform/FreePort.ts"
import { EmbeddedPostgres } from "./postgres/EmbeddedPostgres.ts"
import * as Serve from "./Serve.ts"
import * as Fatal from "./telemetry/Fatal.ts"
import * as MetricSeries from "./telemetry/MetricSeries.ts"
import * as ProcessMetrics from "./telemetry/ProcessMetrics.ts"
import * as ClusterWorker from "./workers/ClusterWorker.ts"
import * as Supervisor from "./workers/Supervisor.ts"
import * as Worker from "./workers/Worker.ts"

/** Runs as many processes as the settings say, until it is interrupted or fails. In a worker it runs that. */
export const run = Effect.fnUntraced(function* (settings: Config.Settings) {
  const worker = yield* Worker.make
  if (worker !== undefined) return yield* work(settings, worker)
  if (settings.workers === 1) return yield* Serve.run(settings)
  if (Cluster.isWorker) {
    return yield* new Config.InvalidSettings({
      problems: [
        `${Config.variables.workers.name} must be 1 in a worker of another program's cluster, such as PM2's: that program starts the processes (got "${settings.workers}")`
      ]
    })
  }
  const workers =
    settings.workers === "auto" ? Math.min(Os.availableParallelism(), Config.maxWorkers) : settings.workers
  return yield* workers === 1 ? Serve.run(settings) : lead(settings, workers)
})

/** Runs a worker on its share of the service. */
const work = (settings: Config.Settings, worker: Worker.Assigned) =>
  Serve.run({
    ...share(settings, worker.workers),
    port: worker.port,
    databaseUrl: Redacted.make(worker.databaseUrl)
  }).pipe(
    Effect.provideService(Worker.Worker, worker),
    Effect.provideService(ServiceFigures.Siblings, worker.siblings),
    Effect.annotateLogs({ worker: worker.worker })
  )

/** The smallest pool of a worker: one connection for the writer, and others beside it. */
const minPool = 3

/** Returns the settings of one of several workers. */
export const share = (settings: Config.Settings, workers: number): Config.Settings => {
  const part = (limit: number) => Math.ceil(limit / workers)
  return {
    ...settings,
    // without a limit each worker accepts what its open files allow
    maxConnections: settings.maxConnections && part(settings.maxConnections),
    maxConnectionsPerUser: part(settings.maxConnectionsPerUser),
    maxUnauthenticatedConnections: part(settings.maxUnauthenticatedConnections),
    databaseMaxConnections: Math.max(minPool, part(settings.databaseMaxConnections))
  }
}

/** Runs the primary of so many workers. */
const lead = Effect.fnUntraced(function* (settings: Config.Settings, workers: number) {
  const startedAt = yield* Clock.currentTimeMillis
  let supervisor: Supervisor.Supervisor | undefined
  // the first finalizer runs last, after all workers and the embedded database have ended
  yield* Effect.addFinalizer(() =>
    supervisor === undefined
      ? Effect.void
      : Effect.flatMap(supervisor.last, ({ series, written }) =>
          Console.log(Serve.lastLine(written, Serve.writtenIn(MetricSeries.toContext(series)).lost))
        )
  )
  const services = yield* Layer.build(Layer.provideMerge(layerBeside(settings, workers), Fatal.layer))
  const embedded = Context.getOption(services, EmbeddedPostgres)
  const databaseUrl = Option.match(embedded, { onNone: () => settings.databaseUrl!, onSome: (server) => server.url })
  const layerDirectory = Layer.provide(
    Database.layerDirectory,
    Database.layerAt(databaseUrl, share(settings, Infinity))
  )
  const tokens = yield* Effect.provide(Serve.makeTokens(settings, embedded), layerDirectory)
  const port = settings.port === 0 ? yield* freePort(settings.host) : settings.port

  supervisor = yield* Supervisor.make({
    workers,
    fork: (worker, readAll) =>
      ClusterWorker.fork({ worker, workers, startedAt, databaseUrl: Redacted.value(databaseUrl), port }, readAll),
    stopTimeout: Duration.sum(Serve.drainLimit(settings), Duration.times(settings.shutdownTimeout, stoppingParts)),
    hastened: Serve.nextSignal
  })
  const { failure, readAll, url } = supervisor
  yield* Effect.addFinalizer((exit) =>
    Effect.andThen(
      Console.log(Serve.stoppingLine),
      Exit.hasInterrupts(exit) ? Serve.drainNotice(settings) : Effect.void
    )
  )
  yield* Console.log(Serve.welcome({ url, embedded, ...tokens }))
  const written = Effect.map(readAll({ withAgents: false }), ({ series }) =>
    Serve.writtenIn(MetricSeries.toContext(series))
  )
  return yield* Effect.raceAllFirst([
    failure,
    Context.get(services, Fatal.Fatal).failure,
    Serve.hasDemo(settings) ? Effect.provide(Serve.demonstrate(settings, url, written), layerDirectory) : Effect.never
  ])
})

/** The parts of a worker that may each take the time for the last flush, one after the other, and what else takes time. */
const stoppingParts = 4

/** The embedded database, and the metrics of the primary. */
const layerBeside = (settings: Config.Settings, workers: number) => {
  if (settings.databaseUrl !== undefined) return ProcessMetrics.layer
  // each worker has a listener beside its pool; others are for the primary and for people
  const connections = workers * (share(settings, workers).databaseMaxConnections + 1) + 20
  const max = { max_connections: String(Math.max(100, connections)) }
  return Layer.merge(ProcessMetrics.layer, Database.layerEmbedded(settings, max))
}

/**
 * Returns a port that is free: workers that listen on port 0 would find another one when all of them were replaced. Of a host
 * without one the first worker reports what is wrong.
 */
const freePort = (host: string) => Effect.orElseSucceed(FreePort.find(host), () => 0)
