/**
 * The composition root: the only file that picks an implementation for a port.
 *
 * A layer ends before the layers that it depends on. So connections end first, and no report arrives any more; then the
 * batcher writes everything pending; then the pubsub, the pool of connections and the embedded database end.
 *
 * @example
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { HttpRouter, HttpServer } from "effect/http"
 * import * as Config from "metadata-batcher/Config"
 * import * as Server from "metadata-batcher/Server"
 *
 * // PORT, DATABASE_URL and the other settings come from the environment
 * const Service = Layer.unwrap(Effect.map(Config.read(), (settings) => Server.layer(settings))).pipe(
 *   Layer.provide(HttpRouter.layer)
 * )
 * // a program that serves on waits for the failure of `Fatal` here
 * const program = HttpServer.addressFormattedWith((address) => Console.log(new URL(address).protocol))
 * await Effect.runPromise(Effect.provide(program, Service))
 * // Output:
 * // http:
 * ```
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { ByteSize, Data, Duration, Effect, Layer } from "effect"
import { FetchHttpClient, HttpIncomingMessage, HttpRouter, type HttpServer } from "effect/http"
import { Api } from "./Api.ts"
import * as Access from "./access/Access.ts"
import * as Authentication from "./access/Authentication.ts"
import * as Revocations from "./access/Revocations.ts"
import * as ActivityBump from "./usage/ActivityBump.ts"
import * as AgentRoutes from "./agentapi/AgentRoutes.ts"
import * as BoundaryUsage from "./usage/BoundaryUsage.ts"
import * as ForwardedMetrics from "./usage/ForwardedMetrics.ts"
import * as ContextState from "./agentapi/calls/ContextState.ts"
import * as Manifest from "./agentapi/calls/Manifest.ts"
import * as SubAgents from "./agentapi/calls/SubAgents.ts"
import * as Replica from "./domain/Replica.ts"
import * as StatsBatcher from "./usage/StatsBatcher.ts"
import * as StatsReporter from "./usage/StatsReporter.ts"
import type { MetadataStore } from "./metadata/MetadataStore.ts"
import * as MetadataBatcher from "./metadata/MetadataBatcher.ts"
import type { Settings } from "./Config.ts"
import * as Database from "./Database.ts"
import type * as DashboardAssets from "./dashboard/Assets.ts"
import * as DashboardRoutes from "./dashboard/DashboardRoutes.ts"
import * as OverviewFeed from "./operations/OverviewFeed.ts"
import * as AgentHttpRoutes from "./agentapi/AgentHttpRoutes.ts"
import * as KeyDeclarations from "./agentapi/KeyDeclarations.ts"
import type { Directory } from "./admin/Directory.ts"
import * as AdminRoutes from "./admin/AdminRoutes.ts"
import * as ErrorResponses from "./operations/ErrorResponses.ts"
import { isLoopback } from "./operations/MetricsPage.ts"
import type * as GuidePage from "./operations/GuidePage.ts"
import * as OperationsRoutes from "./operations/OperationsRoutes.ts"
import * as OverviewRoutes from "./operations/OverviewRoutes.ts"
import * as Retention from "./operations/Retention.ts"
import * as ServiceFigures from "./operations/ServiceFigures.ts"
import * as UsageRoutes from "./usage/UsageRoutes.ts"
import { ByteWebSocket } from "./platform/ByteWebSocket.ts"
import * as Drain from "./platform/Drain.ts"
import * as ConnectionLimits from "./platform/ConnectionLimits.ts"
import * as BrokerPubSub from "./pubsub/BrokerPubSub.ts"
import * as DatabaseChannels from "./pubsub/DatabaseChannels.ts"
import { PubSub } from "./pubsub/PubSub.ts"
import { backendOf } from "./pubsub/PubSubVariables.ts"
import * as FileDescriptors from "./platform/FileDescriptors.ts"
import * as PgPubSub from "./pubsub/PgPubSub.ts"
import * as PubSubLatency from "./pubsub/PubSubLatency.ts"
import * as PubSubWatchdog from "./pubsub/PubSubWatchdog.ts"
import type * as EmbeddedPostgres from "./postgres/EmbeddedPostgres.ts"
import * as MetadataStorage from "./storage/MetadataStorage.ts"
import * as PgAccessStore from "./storage/PgAccessStore.ts"
import * as PgActivityStore from "./storage/PgActivityStore.ts"
import * as PgAgentContextStore from "./storage/PgAgentContextStore.ts"
import * as PgAgentReader from "./storage/readers/PgAgentReader.ts"
import * as PgAppStore from "./storage/PgAppStore.ts"
import * as PgClock from "./storage/PgClock.ts"
import * as PgBoundaryUsageStore from "./storage/PgBoundaryUsageStore.ts"
import * as PgUserSessionStore from "./storage/PgUserSessionStore.ts"
import * as PgAgentSocketStore from "./storage/PgAgentSocketStore.ts"
import * as PgCoordinatorStore from "./storage/PgCoordinatorStore.ts"
import * as PgDirectory from "./storage/PgDirectory.ts"
import * as PgLifecycleStore from "./storage/PgLifecycleStore.ts"
import * as PgLogReader from "./storage/readers/PgLogReader.ts"
import * as PgLogStore from "./storage/PgLogStore.ts"
import * as PgManifestStore from "./storage/PgManifestStore.ts"
import * as PgResourceMonitorStore from "./storage/PgResourceMonitorStore.ts"
import * as PgNotifications from "./storage/PgNotifications.ts"
import * as PgHistoryStore from "./storage/operations/PgHistoryStore.ts"
import * as PgRetentionStore from "./storage/operations/PgRetentionStore.ts"
import * as PgScriptStore from "./storage/PgScriptStore.ts"
import * as PgResumeKeyStore from "./storage/PgResumeKeyStore.ts"
import * as PgSiteConfigs from "./storage/PgSiteConfigs.ts"
import * as PgStatsStore from "./storage/PgStatsStore.ts"
import * as PgSubAgentStore from "./storage/PgSubAgentStore.ts"
import * as PgUsageStore from "./storage/PgUsageStore.ts"
import * as PgWorkspaceStore from "./storage/PgWorkspaceStore.ts"
import * as PgWorkspaceTreeStore from "./storage/PgWorkspaceTreeStore.ts"
import * as Postgres from "./storage/Postgres.ts"
import * as AgentTailnet from "./tailnet/AgentTailnet.ts"
import * as DerpMaps from "./tailnet/DerpMaps.ts"
import * as NetworkTelemetry from "./tailnet/NetworkTelemetry.ts"
import * as ReplicatedCoordinator from "./tailnet/ReplicatedCoordinator.ts"
import * as ResumeTokens from "./tailnet/ResumeTokens.ts"
import * as TailnetRoutes from "./tailnet/TailnetRoutes.ts"
import * as WorkspaceUpdates from "./tailnet/WorkspaceUpdates.ts"
import * as Defects from "./telemetry/Defects.ts"
import * as Fatal from "./telemetry/Fatal.ts"
import * as ProcessMetrics from "./telemetry/ProcessMetrics.ts"
import * as Tracing from "./telemetry/Tracing.ts"
import type { UsageStore } from "./usage/UsageStore.ts"
import * as UsageTracker from "./usage/UsageTracker.ts"
import * as LogWatch from "./watch/LogWatch.ts"
import * as MetadataWatch from "./watch/MetadataWatch.ts"
import * as ReadRoutes from "./watch/ReadRoutes.ts"
import * as WatchRoutes from "./watch/WatchRoutes.ts"
import { SiteConfigs } from "./agentapi/ports/SiteConfigs.ts"
import { StatsOptions } from "./usage/StatsOptions.ts"

/** The pubsub over the broker of the settings, or else over the database. */
const layerPubSub = (settings: Settings) =>
  Layer.effect(
    PubSub,
    Effect.gen(function* () {
      const { databaseListenUrl: listenUrl, pubsubUrl } = settings
      const listenConnection = listenUrl && (yield* Postgres.connectionConfig(listenUrl))
      const overDatabase = { runStatement: yield* Postgres.runPublications, listenConnection }
      if (pubsubUrl === undefined) return yield* PgPubSub.make(overDatabase)
      // triggers announce what statements of other programs change
      const channels = [Revocations.channel]
      return yield* DatabaseChannels.add(yield* BrokerPubSub.make({ ...settings, pubsubUrl }), channels, overDatabase)
    })
  )

/** The parts of the service that an application can replace. */
export interface Options<E = never> {
  /**
   * The store of metadata, which may use the client of the service's database. The declarations of keys stay in
   * that database, and `read` has to return the declared keys. Default: that of the settings.
   */
  readonly metadataStore?: Layer.Layer<MetadataStore, E, DatabaseClient> | undefined
}

type DatabaseClient = Layer.Success<ReturnType<typeof Postgres.layer>>

/**
 * Every port of the service, over the database, and the deletion of old rows.
 *
 * @internal
 */
export const layerStorage = <E = never>(settings: Settings, { metadataStore }: Options<E> = {}) => {
  const silence = { silentAfter: Duration.times(settings.agentPingInterval, 4) }
  return Layer.mergeAll(
    MetadataStorage.layer(settings, { ...silence, metadataStore }),
    PgAccessStore.layer,
    PgActivityStore.layer,
    PgAgentReader.layer(silence),
    PgAgentContextStore.layer,
    PgAppStore.layer,
    PgBoundaryUsageStore.layer,
    PgUserSessionStore.layer,
    PgAgentSocketStore.layer,
    PgLogReader.layer,
    PgLogStore.layer,
    PgScriptStore.layer,
    PgResumeKeyStore.layer,
    PgStatsStore.layer,
    PgSubAgentStore.layer,
    PgUsageStore.layer,
    PgWorkspaceStore.layer,
    PgWorkspaceTreeStore.layer,
    PgCoordinatorStore.layer(),
    PgDirectory.layer,
    PgLifecycleStore.layer,
    PgManifestStore.layer,
    PgResourceMonitorStore.layer,
    PgNotifications.layer,
    PgHistoryStore.layer,
    Fatal.watch("the deletion of old rows", Retention.run(settings)).pipe(Layer.provide(PgRetentionStore.layer)),
    PgSiteConfigs.layer,
    layerPubSub(settings)
  ).pipe(Layer.provideMerge(NodeCrypto.layer))
}

const layerServices = (settings: Settings) =>
  Layer.mergeAll(
    Access.layer,
    Revocations.layer,
    Layer.succeed(Authentication.Limits, {
      maxConnectionsPerUser: settings.maxConnectionsPerUser,
      maxConnectionsPerAgent: settings.agentMaxConnections
    }),
    Replica.layer,
    ProcessMetrics.layer,
    Layer.succeed(Manifest.Deployment, {
      wildcardAccessUrl: settings.wildcardAccessUrl,
      externalAuthProviders: settings.externalAuthProviders ?? [],
      disableDirectConnections: settings.disableDirectConnections,
      derpForceWebsockets: settings.derpForceWebsockets
    }),
    Layer.succeed(SubAgents.MaxSubAgents, settings.agentMaxSubAgents),
    Layer.succeed(ContextState.IsEnabled, settings.agentContext),
    Layer.succeed(KeyDeclarations.MayDeclareKeys, settings.agentMayDeclareKeys),
    MetadataWatch.layer,
    LogWatch.layer,
    Fatal.watch(
      "the writing of boundary usage",
      BoundaryUsage.BoundaryUsage.use(({ run }) => run)
    ).pipe(Layer.provideMerge(BoundaryUsage.layer()), Layer.provide(Replica.layer)),
    layerStats(settings),
    layerTailnet(settings),
    MetadataBatcher.layer({
      maxBatchSize: settings.maxBatchSize,
      maxBacklogBatchSize: settings.maxBacklogBatchSize ?? Math.min(10 * settings.maxBatchSize, settings.maxPending),
      maxBatchBytes: settings.maxBatchBytes,
      interval: settings.flushInterval,
      announceInterval: settings.announceInterval,
      queueCapacity: settings.queueCapacity,
      maxPending: settings.maxPending,
      maxPendingBytes: settings.maxPendingBytes,
      maxPendingPerSource: settings.maxPendingPerAgent,
      shutdownTimeout: settings.shutdownTimeout,
      onWriteFailure: "retain"
    }),
    Fatal.watch(
      "the pubsub",
      PubSubWatchdog.make({ interval: settings.pubsubWatchdogInterval, timeout: settings.pubsubWatchdogTimeout }).pipe(
        Effect.flatMap(({ timeout }) => timeout),
        Effect.scoped
      )
    ),
    Fatal.watch("the measurement of latencies", PubSubLatency.measureForever(backendOf(settings.pubsubUrl)))
  )

/** Statistics of agents, and everything that follows from them. */
const layerStats = ({
  announceInterval,
  experiments = [],
  shutdownTimeout,
  statsReportInterval: reportInterval
}: Settings) =>
  StatsReporter.layer({ announceInterval }).pipe(
    Layer.provideMerge([
      ActivityBump.layer,
      UsageTracker.layer(),
      StatsBatcher.layer({ shutdownTimeout }),
      // longer than it takes an agent to report again
      ForwardedMetrics.layer({ expireAfter: Duration.max(Duration.minutes(2), Duration.times(reportInterval, 3)) }),
      Layer.succeed(StatsOptions, { reportInterval, workspaceUsage: experiments.includes("workspace-usage") })
    ])
  )

/** The tailnet, for agents and for clients of people. */
const layerTailnet = ({ derpMapFile, derpMapPollInterval: pollInterval, derpMapUrl, shutdownTimeout }: Settings) => {
  const layerDerpMaps = Layer.unwrap(
    SiteConfigs.useSync(({ derpMap: setting }) => {
      const source = derpMapFile ? { file: derpMapFile } : derpMapUrl ? { url: derpMapUrl } : { setting }
      return DerpMaps.layer({ source, pollInterval })
    })
  ).pipe(Layer.provide([NodeFileSystem.layer, FetchHttpClient.layer]))
  return AgentTailnet.layer.pipe(
    Layer.provideMerge([
      layerDerpMaps,
      ReplicatedCoordinator.layer({ shutdownTimeout }).pipe(Layer.provide(Replica.layer)),
      NetworkTelemetry.layer(),
      ResumeTokens.layer,
      WorkspaceUpdates.layer
    ])
  )
}

const routes = (settings: Settings) =>
  Layer.mergeAll(
    AgentRoutes.layer(settings),
    AgentHttpRoutes.layer,
    WatchRoutes.layer(settings),
    ReadRoutes.layer,
    TailnetRoutes.layer(settings),
    UsageRoutes.layer,
    AdminRoutes.layer,
    DashboardRoutes.layer,
    OverviewRoutes.layer,
    OperationsRoutes.layer(Api, {
      adminToken: settings.adminToken,
      needsToken:
        settings.metricsAccess === "token" || (settings.metricsAccess === "auto" && !isLoopback(settings.host))
    }),
    ErrorResponses.layer(Api)
  )

/** The service cannot listen on its address. */
export class CannotListen extends Data.TaggedError("CannotListen")<{
  /** The address of the settings. */
  readonly host: string
  /** The port of the settings. */
  readonly port: number
  /** The error of the operating system. */
  readonly cause: unknown
}> {
  override get message() {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `cannot listen on ${this.host}:${this.port} (${why}): set HOST and PORT to an address that is free`
  }
}

/** Listens after the services are built, and stops before they end. */
const layerHttpServer = (settings: Settings) =>
  Layer.unwrap(
    Effect.gen(function* () {
      yield* MetadataBatcher.MetadataBatcher
      const { host, agentMaxMessageBytes: maxPayload, port } = settings
      const maxConnections = yield* FileDescriptors.connections({
        maxConnections: settings.maxConnections,
        // the listener has a connection of its own
        database: settings.databaseMaxConnections + 1
      })
      const server = yield* ConnectionLimits.makeServer({ ...settings, maxConnections })
      const drain = Layer.succeed(Drain.Drain, Drain.make(server))
      return NodeHttpServer.layer(() => server, {
        host,
        port,
        // a fleet that connects at once fills Node's queue of 511, and then waits for seconds between attempts
        backlog: 4_096,
        // agents and watchers stay connected for ever: none is waited for longer than this
        gracefulShutdownTimeout: "500 millis",
        websocket: { maxPayload, WebSocket: ByteWebSocket }
      }).pipe(
        Layer.catch(({ cause }) => Layer.effectContext(Effect.fail(new CannotListen({ host, port, cause })))),
        Layer.merge(drain)
      )
    })
  )

/**
 * The service over its ports. It serves as soon as the layer is built.
 *
 * @internal
 */
export const layerService = (settings: Settings) =>
  HttpRouter.serve(routes(settings), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(layerHttpServer(settings)),
    // reads what the services below have registered
    Layer.provide([OverviewFeed.layer, ServiceFigures.layer]),
    Layer.provideMerge(layerServices(settings)),
    Layer.provide(Defects.layer),
    Layer.provide(Layer.succeed(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(settings.maxBodyBytes))),
    Layer.provide(
      Tracing.layer({ endpoint: settings.otelExporterOtlpEndpoint, sampleRatio: settings.traceSampleRatio })
    )
  )

/** The services that an application of its own finds beside the service, of all that the service is made of. */
export type Services =
  | Directory
  | Drain.Drain
  | Fatal.Fatal
  | HttpServer.HttpServer
  | MetadataBatcher.MetadataBatcher
  | MetadataStore
  | PubSub
  | UsageStore
  | UsageTracker.UsageTracker
  | DatabaseClient
  | Layer.Success<typeof NodeCrypto.layer>

/** The service cannot start. */
export type StartError =
  | CannotListen
  | DashboardAssets.PageMissing
  | GuidePage.GuideMissing
  | EmbeddedPostgres.EmbeddedPostgresError
  | MetadataStorage.MetadataStoreUnusable
  | BrokerPubSub.BrokerError
  | PgPubSub.ListenerError
  | Postgres.PostgresError

/**
 * The whole service. It serves as soon as the layer is built, and fails with a {@link StartError} if it cannot. Closing its
 * scope writes everything pending, within `shutdownTimeout`.
 */
export const layer = <E = never>(settings: Settings, options?: Options<E>): Layer.Layer<Services, StartError | E> =>
  layerService(settings).pipe(
    Layer.provideMerge(layerStorage(settings, options)),
    Layer.provide(PgClock.layer()),
    Layer.provideMerge(Database.layer(settings)),
    Layer.provideMerge(Fatal.layer)
  )
