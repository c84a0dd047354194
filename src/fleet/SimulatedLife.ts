/**
 * What a simulated agent does while it is connected, in the order and in the mix of a real one.
 *
 * - Whenever it connects it asks for its manifest and for the banners, and introduces itself. When that fails it tries again.
 * - The first time it starts: it comes to be, runs its scripts, whose lines it logs, and is ready.
 * - From its introduction on it reports metadata once in an interval, and its statistics as often as the service wants.
 *   Where it is watched it says how full its memory and its volumes are.
 * - Once it is ready it logs a line in five intervals, and people come and go in ten, as its statistics tell. The health of
 *   its apps, and what they do, changes in twenty.
 * - When it leaves, so does whoever is connected to it; then it shuts down. That has five seconds.
 *
 * It has no agents of its own and confines no program.
 */
import { DateTime, Duration, Effect, Random, Ref, Schedule } from "effect"
import type { RpcClient, RpcClientError, RpcGroup } from "effect/rpc"
import type { AgentApi } from "../agentapi/AgentApi.ts"
import type { UpdateLifecycleRequest } from "../agentapi/calls/Lifecycle.ts"
import type { Manifest } from "../agentapi/calls/Manifest.ts"
import { LogSourceId, nil } from "../domain/Ids.ts"
import * as Work from "./SimulatedWork.ts"

export type Client = RpcClient.FromGroup<typeof AgentApi, RpcClientError.RpcClientError>

/** The name of a call. */
export type Call = RpcGroup.Rpcs<typeof AgentApi>["_tag"]

export interface Options {
  readonly keys: ReadonlyArray<string>
  /** The time between two reports of metadata, which all that happens now and then is a multiple of. */
  readonly interval: Duration.Duration
  /** How far a pause may be from what it should be, as a part of it. */
  readonly jitter: number
  /** Reports metadata and says nothing else. Default false. */
  readonly metadataOnly?: boolean | undefined
  /** Is told of each call how it went. */
  readonly observer: {
    readonly onCall: (call: Call) => void
    readonly onError: () => void
  }
}

type Manifest = typeof Manifest.Type

export const make = Effect.fnUntraced(function* (
  { interval, jitter, keys, metadataOnly, observer }: Options,
  client: Client
) {
  const isStarted = yield* Ref.make(false)
  const visitor = yield* Ref.make<Work.Visitor | undefined>(undefined)

  const told =
    (call: Call) =>
    <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.tapError(
        Effect.tap(self, () => Effect.sync(() => observer.onCall(call))),
        () => Effect.sync(observer.onError)
      )

  /** Does something once in a period, more or less, and whether it succeeds or not. */
  const every = (period: Duration.Duration, work: Effect.Effect<unknown, unknown>) => {
    const after = (part: Effect.Effect<number>) =>
      Effect.flatMap(part, (part) => Effect.delay(Effect.ignore(work), Duration.times(period, part)))
    // the first time is as far off as any other, so that agents that start together part ways
    return Effect.andThen(after(Random.next), Effect.forever(after(Random.nextBetween(1 - jitter, 1 + jitter))))
  }

  const intervals = (count: number) => Duration.times(interval, count)

  const persistently = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.retry(self, Schedule.spaced(interval))

  // ---------------------------------------------------------------------------
  // startup
  // ---------------------------------------------------------------------------

  const introduce = Effect.gen(function* () {
    const manifest = yield* told("GetManifest")(client.GetManifest({}))
    yield* told("GetAnnouncementBanners")(client.GetAnnouncementBanners({}))
    yield* told("UpdateStartup")(client.UpdateStartup({ startup: Work.startup(manifest) }))
    return manifest
  })

  const become = (state: UpdateLifecycleRequest["lifecycle"]["state"]) =>
    Effect.flatMap(DateTime.now, (changed_at) =>
      told("UpdateLifecycle")(client.UpdateLifecycle({ lifecycle: { state, changed_at } }))
    )

  const log = (log_source_id: LogSourceId, ...logs: Parameters<Client["BatchCreateLogs"]>[0]["logs"]) =>
    told("BatchCreateLogs")(client.BatchCreateLogs({ log_source_id, logs }))

  /** Prints what a startup prints, bit by bit. */
  const print = (source: LogSourceId) =>
    Effect.forEach(Work.startupPrints, (lines) => Effect.delay(log(source, ...lines), Duration.times(interval, 0.2)), {
      discard: true
    })

  const runScript = Effect.fnUntraced(function* ({ id, log_source_id }: Manifest["scripts"][number]) {
    const start = yield* DateTime.now
    yield* print(log_source_id)
    const timing = {
      script_id: id,
      start,
      end: yield* DateTime.now,
      exit_code: 0,
      stage: "start",
      status: "ok"
    } as const
    yield* told("ScriptCompleted")(client.ScriptCompleted({ timing }))
  })

  const start = Effect.fnUntraced(function* ({ scripts }: Manifest) {
    if (yield* Ref.get(isStarted)) return
    yield* become("created")
    yield* become("starting")
    const atStart = scripts.filter(({ run_on_start }) => run_on_start)
    yield* atStart.length === 0 ? print(outside) : Effect.forEach(atStart, runScript, { concurrency: "unbounded" })
    yield* become("ready")
    yield* Ref.set(isStarted, true)
  })

  // ---------------------------------------------------------------------------
  // life
  // ---------------------------------------------------------------------------

  const report = Effect.gen(function* () {
    const metadata = yield* Effect.forEach(keys, Work.sample)
    yield* told("BatchUpdateMetadata")(client.BatchUpdateMetadata({ metadata }))
  })

  const reportStats = Effect.gen(function* () {
    const { report_interval } = yield* persistently(told("UpdateStats")(client.UpdateStats({})))
    const report = Effect.gen(function* () {
      const stats = yield* Work.stats(yield* Ref.get(visitor))
      yield* told("UpdateStats")(client.UpdateStats({ stats }))
    })
    return yield* every(Duration.seconds(report_interval), report)
  })

  const visit = (visitor: Work.Visitor, action: "connect" | "disconnect") =>
    told("ReportConnection")(client.ReportConnection(Work.connection(visitor, action)))

  const goodbye = Effect.gen(function* () {
    const gone = yield* Ref.getAndSet(visitor, undefined)
    if (gone !== undefined) yield* visit(gone, "disconnect")
    return gone
  })

  /** Somebody comes, unless somebody is there: then that one leaves. */
  const comeAndGo = Effect.gen(function* () {
    if ((yield* goodbye) !== undefined) return
    const newcomer = yield* Work.visitor
    yield* visit(newcomer, "connect")
    yield* Ref.set(visitor, newcomer)
  })

  const reportHealths = Effect.fnUntraced(function* (apps: Manifest["apps"]) {
    const updates = yield* Effect.forEach(apps, ({ id }) => Effect.map(Work.health, (health) => ({ id, health })))
    yield* told("BatchUpdateAppHealths")(client.BatchUpdateAppHealths({ updates }))
  })

  const work = (apps: Manifest["apps"]) => {
    const checked = apps.filter(({ healthcheck }) => healthcheck.url !== "")
    const [app] = apps
    return Effect.all(
      [
        every(
          intervals(5),
          Effect.flatMap(Work.line, (line) => log(outside, line))
        ),
        every(intervals(10), comeAndGo),
        checked.length === 0 ? Effect.void : every(intervals(20), reportHealths(checked)),
        app === undefined
          ? Effect.void
          : every(
              intervals(20),
              Effect.flatMap(Work.status(app.slug), (status) => told("UpdateAppStatus")(client.UpdateAppStatus(status)))
            )
      ],
      { concurrency: "unbounded", discard: true }
    )
  }

  const monitor = Effect.gen(function* () {
    const { config, memory, volumes } = yield* persistently(
      told("GetResourcesMonitoringConfiguration")(client.GetResourcesMonitoringConfiguration({}))
    )
    const watched = volumes.flatMap(({ enabled, path }) => (enabled ? [path] : []))
    const isMemoryWatched = memory?.enabled === true
    if (!isMemoryWatched && watched.length === 0) return
    const interval = Duration.seconds(config.collection_interval_seconds)
    const push = Effect.gen(function* () {
      const usage = yield* Work.usage({
        count: config.num_datapoints,
        interval,
        memory: isMemoryWatched,
        volumes: watched
      })
      yield* told("PushResourcesMonitoringUsage")(client.PushResourcesMonitoringUsage(usage))
    })
    return yield* every(interval, push)
  })

  const everything = Effect.gen(function* () {
    const manifest = yield* persistently(introduce)
    yield* Effect.all(
      [
        every(interval, report),
        reportStats,
        monitor,
        Effect.andThen(persistently(start(manifest)), work(manifest.apps))
      ],
      { concurrency: "unbounded", discard: true }
    )
  })

  return {
    /** What it does while it is connected. Ends by interruption alone. */
    live: metadataOnly === true ? every(interval, report) : everything,
    /** What it does before it leaves, as long as it is connected. */
    leave:
      metadataOnly === true
        ? Effect.void
        : Effect.andThen(goodbye, Effect.andThen(become("shutting_down"), become("off"))).pipe(
            Effect.timeoutOption("5 seconds"),
            Effect.ignore
          )
  }
})

/** The source of lines of what no script has printed. */
const outside = LogSourceId.make(nil)
