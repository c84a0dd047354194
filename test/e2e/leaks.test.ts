/**
 * Agents leave nothing behind: they connect, report everything that agents report, and leave, while people watch some
 * of them. The service is a process of its own, whose counts nothing else changes.
 *
 * A hundred agents stay for five seconds. `npm run test:leaks` lets a thousand stay for a minute.
 */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Fiber, Metric, Redacted, Schedule, Stream } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import * as Fleet from "../../src/fleet/Fleet.ts"
import * as Work from "../../src/fleet/SimulatedWork.ts"
import * as People from "../support/directory.ts"
import { equip } from "../support/equipment.ts"
import * as Figures from "../support/figures.ts"
import type { Held } from "../support/held.ts"
import * as Postgres from "../support/Postgres.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

const isSoak = process.env["METADATA_BATCHER_SOAK"] === "1"
const stay = isSoak ? Duration.minutes(1) : Duration.seconds(5)
const agents = isSoak ? 1_000 : 100

const keys = Work.keys(3)
const interval = isSoak ? Duration.seconds(3) : Duration.seconds(1)

/** The service, and what it holds. */
const start = Effect.gen(function* () {
  const { url: database } = yield* Postgres.TestDatabase
  const service = yield* ServiceProcess.startProgram("test/support/measuredService.ts", {
    PORT: "0",
    DATABASE_URL: Redacted.value(database),
    STATS_REPORT_INTERVAL: isSoak ? "3 seconds" : "1 second",
    AGENT_PING_TIMEOUT: "5 minutes"
  })
  const [, url = "", token = ""] = yield* service.line(/^ready at (\S+) with (\S+)$/)
  const held = Effect.gen(function* () {
    yield* service.kill("SIGUSR2")
    const [, json = ""] = yield* service.line(/^held (.*)$/)
    return JSON.parse(json) as Held
  })
  return { url, token: Redacted.make(token), held }
})

type Service = Effect.Success<typeof start>

/** Reads what comes over an address, for as long as the scope. */
const watch = Effect.fnUntraced(function* ({ token, url }: Service, path: string) {
  const response = yield* HttpClient.get(`${url}${path}`, { headers: People.showing(token) })
  assert.strictEqual(response.status, 200)
  yield* Effect.forkScoped(Effect.ignore(Stream.runDrain(response.stream)))
})

/** Agents that connect, live for as long as that takes, and leave. Every tenth of them is watched. */
const visit = Effect.fnUntraced(function* (
  service: Service,
  count: number,
  whileThere: (figures: Fleet.Figures) => Effect.Effect<void>
) {
  const { token, url } = service
  const members = yield* Fleet.provision({ url, token, workspace: `of-${count}`, owner: "ada", count, keys, interval })
  yield* equip(members.map(({ id }) => id))
  for (const { id } of members.filter((_, index) => index % 10 === 0)) {
    yield* watch(service, `/api/v2/workspaceagents/${id}/watch-metadata`)
    yield* watch(service, `/api/v2/workspaceagents/${id}/logs?follow`)
  }
  const { figures, until } = yield* Figures.watched
  const rampUp = Duration.times(Duration.millis(8), count)
  const fleet = yield* Effect.forkScoped(Fleet.run({ url, members, keys, interval, jitter: 0.5, rampUp }, figures))
  // it comes to be, starts, is ready
  yield* until(({ calls, connected }) => connected === count && calls.get("UpdateLifecycle")! >= 3 * count)
  yield* whileThere(figures)
  yield* Fiber.interrupt(fleet)
}, Effect.scoped)

/** The counts that have to be exactly as before. */
const exact = ({ databaseConnections: _, heap: __, timers: ___, ...held }: Held) => held

/** How often is asked what is held, in milliseconds: each time the service collects its garbage. */
const poll = 500

/**
 * Waits until the same counts have passed the check for a while, not necessarily in one piece: a fiber that works now and
 * then is no leak, a fiber that stays is one. The last fibers of an agent end after its socket.
 */
const atRest = (service: Service, rest: number, check: (held: Held) => void) =>
  Effect.suspend(() => {
    const seen = new Map<string, number>()
    const timesSeen = (held: Held) => seen.get(JSON.stringify(exact(held))) ?? 0
    const isAtRest = (held: Held) => {
      if (passes(check, held)) seen.set(JSON.stringify(exact(held)), timesSeen(held) + 1)
      return timesSeen(held) * poll >= rest
    }
    const schedule = Schedule.upTo(Schedule.spaced(poll), { duration: "30 seconds" })
    return Effect.map(Effect.repeat(service.held, { until: isAtRest, schedule }), (held) => {
      check(held)
      assert.isAtLeast(timesSeen(held) * poll, rest, "it has not come to rest")
      return held
    })
  })

const passes = (check: (held: Held) => void, held: Held): boolean => {
  try {
    check(held)
    return true
  } catch {
    return false
  }
}

layer(Postgres.layer, { excludeTestServices: true })(`${agents} agents`, (it) => {
  it.effect(
    "leave the service with the fibers, timers, sockets and LISTEN channels that it had before, and with no fiber of theirs",
    () =>
      Effect.gen(function* () {
        const service = yield* start
        // all that comes to be with the first agents and stays: connections to the database, compiled code
        yield* visit(service, 20, () => Effect.void)
        // the channels of the watchdog, of revoked rights, of the tailnet and of the figures of replicas
        // a busy machine takes longer to end what runs at the start only
        const before = yield* atRest(service, 5_000, (held) =>
          assert.deepInclude(held, { clients: 0, channels: 4, subscribers: 4, connectedAgents: 0 })
        )

        let fibers = 0
        const counting = { recordFiberStart: () => void fibers++, recordFiberEnd: () => void fibers-- }
        const all = visit(service, agents, (figures) =>
          Effect.gen(function* () {
            yield* Effect.sleep(stay)
            // a machine that is too busy loses connections, which come back and have to be released like any other
            const { channels, clients, connectedAgents, ...during } = yield* service.held
            assert.isAtLeast(Math.min(clients, connectedAgents), 0.9 * agents)
            assert.isAtLeast(channels, agents / 10 + 4)
            assert.isAtLeast(Math.min(fibers, during.fibers), 0.9 * 2 * agents)
            assert.deepStrictEqual([...figures.calls.keys()].sort(), everyCall)
            assert.isAtLeast(Fleet.reports(figures), 3 * agents)
          })
        )
        yield* Effect.provideService(all, Metric.FiberRuntimeMetrics, counting)

        const after = yield* atRest(service, 2_000, (held) => {
          assert.deepStrictEqual(exact(held), exact(before))
          // an idle connection to the database that the pool lets go takes its timer along
          assert.isAtMost(held.timers, before.timers)
          assert.strictEqual(fibers, 0)
        })
        // the pool may have let an idle connection go; one more is that of the listener
        assert.isAtMost(after.databaseConnections, 11)
        // for two minutes the service shows what agents have measured last, beside which no two counts of bytes are equal:
        // a session that stays is a hundred times as large
        assert.isAtMost(after.heap - before.heap, 20)
      }).pipe(Effect.provide(FetchHttpClient.layer)),
    { timeout: Duration.toMillis(stay) + 240_000 }
  )
})

const everyCall = [
  "BatchCreateLogs",
  "BatchUpdateAppHealths",
  "BatchUpdateMetadata",
  "GetAnnouncementBanners",
  "GetManifest",
  "GetResourcesMonitoringConfiguration",
  "PushResourcesMonitoringUsage",
  "ReportConnection",
  "ScriptCompleted",
  "UpdateAppStatus",
  "UpdateLifecycle",
  "UpdateStartup",
  "UpdateStats"
]
