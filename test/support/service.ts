/**
 * The service as it runs, on a real port of this machine.
 *
 * Each log record is a line of JSON, from debug up. Its metrics are its own. The `HttpClient` of the layer resolves every
 * path against the address of the service.
 */
import { ConfigProvider, Context, Effect, Layer, Logger, Metric, Queue, References } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import { connectedAgents } from "../../src/agentapi/AgentMetrics.ts"
import * as Config from "../../src/Config.ts"
import * as Server from "../../src/Server.ts"
import * as Fatal from "../../src/telemetry/Fatal.ts"
import * as Postgres from "./Postgres.ts"

export class TestService extends Context.Service<
  TestService,
  {
    /** Where it is, as `http://127.0.0.1:port`. */
    readonly url: string
    /** All that it has logged. */
    readonly logs: ReadonlyArray<string>
    /** Waits for the next record with all these texts. */
    readonly logged: (...texts: ReadonlyArray<string>) => Effect.Effect<string>
    readonly metric: <State>(metric: Metric.Metric<never, State>) => State
  }
>()("test/support/TestService") {}

/** The settings of a service that writes what it gets at once. */
export const settings = (environment: Readonly<Record<string, string>> = {}) =>
  Effect.provideService(
    Config.read({
      PORT: "0",
      METADATA_FLUSH_INTERVAL: "10 millis",
      METADATA_ANNOUNCE_INTERVAL: "0",
      SHUTDOWN_TIMEOUT: "5 seconds",
      ...environment
    }),
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromEnvRecord({})
  )

const make = Effect.gen(function* () {
  const { address } = yield* HttpServer.HttpServer
  const { lines, logs } = yield* Logs
  const context = yield* Effect.context<never>()
  return TestService.of({
    url: NetAddress.formatUrlUnsafe(address),
    logs,
    logged: (...texts) =>
      Effect.repeat(Queue.take(lines), { until: (line) => texts.every((text) => line.includes(text)) }),
    metric: (metric) => metric.valueUnsafe(context)
  })
})

/** Waits until no agent is connected any more: those of the tests before leave after their tests. */
export const noneConnected = Effect.gen(function* () {
  const { logged, metric } = yield* TestService
  while (metric(connectedAgents).value > 0) yield* logged("agent disconnected")
})

class Logs extends Context.Service<Logs, { readonly logs: Array<string>; readonly lines: Queue.Queue<string> }>()(
  "test/support/Logs"
) {
  static readonly layer = Layer.effect(
    Logs,
    Effect.map(Queue.unbounded<string>(), (lines) => ({ logs: [], lines }))
  )
}

const layerLogger = Layer.unwrap(
  Logs.useSync(({ lines, logs }) =>
    Logger.layer([
      Logger.map(Logger.formatJson, (line) => {
        logs.push(line)
        Queue.offerUnsafe(lines, line)
      })
    ])
  )
)

const layerClient = Layer.effect(
  HttpClient.HttpClient,
  Effect.gen(function* () {
    const { url } = yield* TestService
    return HttpClient.mapRequest(yield* HttpClient.HttpClient, HttpClientRequest.prependUrl(url))
  })
).pipe(Layer.provide(Layer.fresh(FetchHttpClient.layer)))

/** The service over what keeps its things. */
export const layerOver = <A, E, R>(
  ports: (settings: Config.Settings) => Layer.Layer<A, E, R>,
  environment?: Readonly<Record<string, string>>
) =>
  layerClient.pipe(
    Layer.provideMerge(Layer.effect(TestService, make)),
    Layer.provideMerge(
      Layer.unwrap(
        Effect.map(settings(environment), (settings) =>
          Layer.provideMerge(Server.layerService(settings), ports(settings))
        )
      )
    ),
    Layer.provideMerge(Fatal.layer),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Debug")),
    Layer.provide(layerLogger),
    Layer.provide(Logs.layer),
    Layer.provide(Layer.sync(Metric.MetricRegistry, () => new Map()))
  )

/** The service over a database of the suite's own. */
export const layerWith = (environment?: Readonly<Record<string, string>>) =>
  Layer.provideMerge(layerOver(Server.layerStorage, environment), Postgres.layer)

export const layer = layerWith()
