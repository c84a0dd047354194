/**
 * Simulates the behaviour of a connected agent: the order and the mix of calls are those of a real one.
 *
 * - On each connection the agent fetches its manifest and the banners, and introduces itself. It repeats this until it
 *   succeeds.
 * - On its first connection the agent starts: it is created, runs its scripts, logs their lines, and becomes ready.
 * - After its introduction the agent reports metadata once per interval, and statistics as often as the service
 *   requests them. A monitored agent also reports the usage of its memory and its volumes.
 * - Once it is ready, the agent logs a line every five intervals, visitors come and go every ten, and the health and
 *   the status of its apps change every twenty.
 * - Before the agent leaves, its visitors disconnect and it shuts down, within five seconds.
 * - The agent creates no sub-agents and confines no program.
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
  /** The time between two reports of metadata. The period of everything else that repeats is a multiple of it. */
  readonly interval: Duration.Duration
  /** The largest difference between a pause and its period, as a fraction of the period. */
  readonly jitter: number
  /** Whether the agent reports metadata and nothing else. Default false. */
  readonly metadataOnly?: boolean | undefined
  readonly observer: Observer
}

/** Receives the outcome of each call. */
export interface Observer {
  /** A call succeeded. */
  readonly onCall: (call: Call, duration: Duration.Duration) => void
  /** A call or an attempt to connect failed. The kind names the call and the error. */
  readonly onError: (kind: string) => void
}

type Manifest = typeof Manifest.Type

export const make = Effect.fnUntraced(function* (options: Options, client: Client) {
  const tools = makeTools(options, client)
  const visits = yield* makeVisits(tools)
  const startup = yield* makeStartup(tools)
  const report = Effect.gen(function* () {
    const metadata = yield* Effect.forEach(options.keys, Work.sample)
    yield* tools.observed("BatchUpdateMetadata")(client.BatchUpdateMetadata({ metadata }))
  })
  const reports = tools.every(options.interval, report)

  if (options.metadataOnly === true) return { live: reports, leave: Effect.void } satisfies SimulatedLife
  const everything = Effect.gen(function* () {
    const manifest = yield* tools.persistently(startup.introduce)
    yield* Effect.all(
      [
        reports,
        reportStats(tools, visits.visitor),
        reportUsage(tools),
        Effect.andThen(tools.persistently(startup.start(manifest)), work(tools, visits.comeAndGo, manifest.apps))
      ],
      { concurrency: "unbounded", discard: true }
    )
  })
  return {
    live: everything,
    leave: visits.goodbye.pipe(
      Effect.andThen(tools.become("shutting_down")),
      Effect.andThen(tools.become("off")),
      Effect.timeoutOption("5 seconds"),
      Effect.ignore
    )
  } satisfies SimulatedLife
})

export interface SimulatedLife {
  /** Does everything that the agent does while it is connected. Ends only by interruption. */
  readonly live: Effect.Effect<unknown, unknown>
  /** Does everything that a connected agent does before it leaves. */
  readonly leave: Effect.Effect<void>
}

// -----------------------------------------------------------------------------
// tools
// -----------------------------------------------------------------------------

type Tools = ReturnType<typeof makeTools>

const makeTools = ({ interval, jitter, observer }: Options, client: Client) => {
  /** Notifies the observer of the outcome of a call. */
  const observed =
    (call: Call) =>
    <A, E extends { readonly _tag: string }, R>(self: Effect.Effect<A, E | RpcClientError.RpcClientError, R>) =>
      Effect.timed(self).pipe(
        Effect.tap(([duration]) => Effect.sync(() => observer.onCall(call, duration))),
        Effect.map(([, result]) => result),
        Effect.tapError((error) =>
          Effect.sync(() => observer.onError(`${call}: ${"reason" in error ? error.reason._tag : error._tag}`))
        )
      )

  return {
    client,
    observed,

    intervals: (count: number) => Duration.times(interval, count),

    /** Repeats work about once per period, even when it fails. */
    every: (period: Duration.Duration, work: Effect.Effect<unknown, unknown>) => {
      const after = (part: Effect.Effect<number>) =>
        Effect.flatMap(part, (part) => Effect.delay(Effect.ignore(work), Duration.times(period, part)))
      // the first pause is a random part of the period, so that agents that start together drift apart
      return Effect.andThen(after(Random.next), Effect.forever(after(Random.nextBetween(1 - jitter, 1 + jitter))))
    },

    /** Tries again until `self` succeeds. */
    persistently: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.retry(self, Schedule.spaced(interval)),

    become: (state: UpdateLifecycleRequest["lifecycle"]["state"]) =>
      Effect.flatMap(DateTime.now, (changed_at) =>
        observed("UpdateLifecycle")(client.UpdateLifecycle({ lifecycle: { state, changed_at } }))
      ),

    log: (log_source_id: LogSourceId, ...logs: Parameters<Client["BatchCreateLogs"]>[0]["logs"]) =>
      observed("BatchCreateLogs")(client.BatchCreateLogs({ log_source_id, logs }))
  }
}

/** The source of log lines that no script has printed. */
const outside = LogSourceId.make(nil)

// -----------------------------------------------------------------------------
// startup
// -----------------------------------------------------------------------------

const makeStartup = Effect.fnUntraced(function* ({ become, client, intervals, log, observed }: Tools) {
  const isStarted = yield* Ref.make(false)

  const introduce = Effect.gen(function* () {
    const manifest = yield* observed("GetManifest")(client.GetManifest({}))
    yield* observed("GetAnnouncementBanners")(client.GetAnnouncementBanners({}))
    yield* observed("UpdateStartup")(client.UpdateStartup({ startup: Work.startup(manifest) }))
    return manifest
  })

  /** Logs the output of a startup piece by piece. */
  const print = (source: LogSourceId) =>
    Effect.forEach(Work.startupPrints, (lines) => Effect.delay(log(source, ...lines), intervals(0.2)), {
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
    yield* observed("ScriptCompleted")(client.ScriptCompleted({ timing }))
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

  return { introduce, start }
})

// -----------------------------------------------------------------------------
// visitors
// -----------------------------------------------------------------------------

const makeVisits = Effect.fnUntraced(function* ({ client, observed }: Tools) {
  const visitor = yield* Ref.make<Work.Visitor | undefined>(undefined)

  const visit = (visitor: Work.Visitor, action: "connect" | "disconnect") =>
    observed("ReportConnection")(client.ReportConnection(Work.connection(visitor, action)))

  // a call that fails or is interrupted may have reached the service: a visitor may leave twice, and is never left behind
  const goodbye = Effect.gen(function* () {
    const leaving = yield* Ref.get(visitor)
    if (leaving === undefined) return false
    yield* visit(leaving, "disconnect")
    yield* Ref.set(visitor, undefined)
    return true
  })

  /** Makes the visitor leave, or a new visitor come if there is none. */
  const comeAndGo = Effect.gen(function* () {
    if (yield* goodbye) return
    const newcomer = yield* Work.visitor
    yield* Ref.set(visitor, newcomer)
    yield* visit(newcomer, "connect")
  })

  return { visitor, goodbye, comeAndGo }
})

// -----------------------------------------------------------------------------
// work
// -----------------------------------------------------------------------------

const reportStats = Effect.fnUntraced(function* (
  { client, every, observed, persistently }: Tools,
  visitor: Ref.Ref<Work.Visitor | undefined>
) {
  const { report_interval } = yield* persistently(observed("UpdateStats")(client.UpdateStats({})))
  const report = Effect.gen(function* () {
    const stats = yield* Work.stats(yield* Ref.get(visitor))
    yield* observed("UpdateStats")(client.UpdateStats({ stats }))
  })
  return yield* every(Duration.seconds(report_interval), report)
})

const reportUsage = Effect.fnUntraced(function* ({ client, every, observed, persistently }: Tools) {
  const { config, memory, volumes } = yield* persistently(
    observed("GetResourcesMonitoringConfiguration")(client.GetResourcesMonitoringConfiguration({}))
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
    yield* observed("PushResourcesMonitoringUsage")(client.PushResourcesMonitoringUsage(usage))
  })
  return yield* every(interval, push)
})

const work = (
  { client, every, intervals, log, observed }: Tools,
  comeAndGo: Effect.Effect<void, unknown>,
  apps: Manifest["apps"]
) => {
  const logLine = Effect.flatMap(Work.line, (line) => log(outside, line))

  const checked = apps.filter(({ healthcheck }) => healthcheck.url !== "")
  const reportHealths = Effect.gen(function* () {
    const updates = yield* Effect.forEach(checked, ({ id }) => Effect.map(Work.health, (health) => ({ id, health })))
    yield* observed("BatchUpdateAppHealths")(client.BatchUpdateAppHealths({ updates }))
  })

  const reportStatus = ({ slug }: Manifest["apps"][number]) =>
    Effect.flatMap(Work.status(slug), (status) => observed("UpdateAppStatus")(client.UpdateAppStatus(status)))

  const [app] = apps
  return Effect.all(
    [
      every(intervals(5), logLine),
      every(intervals(10), comeAndGo),
      checked.length === 0 ? Effect.void : every(intervals(20), reportHealths),
      app === undefined ? Effect.void : every(intervals(20), reportStatus(app))
    ],
    { concurrency: "unbounded", discard: true }
  )
}
