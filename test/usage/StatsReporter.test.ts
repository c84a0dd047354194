/** The steps of a report, in order. */
import { assert, describe, it } from "@effect/vitest"
import { Context, DateTime, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as ActivityBump from "../../src/usage/ActivityBump.ts"
import type { StatsCounters } from "../../src/usage/AgentStats.ts"
import { ForwardedMetrics } from "../../src/usage/ForwardedMetrics.ts"
import { StatsBatcher } from "../../src/usage/StatsBatcher.ts"
import * as StatsReporter from "../../src/usage/StatsReporter.ts"
import { type AppStats, StatsStore } from "../../src/usage/StatsStore.ts"
import { prebuildsUserId } from "../../src/domain/Workspace.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import { UsageTracker } from "../../src/usage/UsageTracker.ts"
import { workspace } from "../support/identity.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { agent, at } from "../support/metadataBatcher.ts"
import { figures } from "../support/stats.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import { ActivityStore } from "../../src/usage/ActivityStore.ts"

interface Given extends StatsReporter.Options {
  readonly publish?: Effect.Effect<void, PubSub.PubSubError>
  readonly bump?: Effect.Effect<void, StoreError>
}

/** A reporter over parts that write down what is asked of them. */
const start = Effect.fnUntraced(function* (given: Given = {}) {
  const done: Array<ReadonlyArray<unknown>> = []
  const logs: Array<LogRecord> = []
  const note = (...what: ReadonlyArray<unknown>) => Effect.sync(() => void done.push(what))
  const services = yield* Layer.build(
    StatsReporter.layer(given).pipe(
      Layer.provide([
        Layer.mock(StatsBatcher)({
          add: ({ agentId, at, figures, usage, userId }) =>
            note("batch", DateTime.toEpochMillis(at) - 1_700_000_000_000, agentId, userId, figures.rx_bytes, usage)
        }),
        Layer.mock(ForwardedMetrics)({
          report: (owner, metrics) => note("metrics", owner, metrics.length)
        }),
        ActivityBump.layer.pipe(
          Layer.provide(
            Layer.mock(ActivityStore)({
              bump: (id) => Effect.andThen(note("bump", id), given.bump ?? Effect.void)
            })
          )
        ),
        Layer.mock(UsageTracker)({ add: (id) => note("usage", id) }),
        Layer.succeed(PubSub.PubSub, {
          publish: (channel, payload) =>
            Effect.andThen(note("event", channel, JSON.parse(payload)), given.publish ?? Effect.void),
          subscribe: () => Stream.never
        }),
        Layer.mock(StatsStore)({
          insertApps: (stats, time) => note("apps", stats.length, DateTime.toEpochMillis(time))
        })
      ])
    )
  ).pipe(collectLogs(logs))
  const { report, reportApps } = Context.get(services, StatsReporter.StatsReporter)
  return {
    done,
    logs,
    reportApps,
    kinds: () => done.map(([kind]) => kind),
    report: (said: Partial<StatsCounters>, overrides: Partial<StatsReporter.Report> = {}) =>
      report({ at: at(1), workspace, agentId: agent(7), figures: figures(said), usage: false, ...overrides }).pipe(
        collectLogs(logs)
      )
  }
})

const metrics = { agentName: "main", all: [{ name: "load", type: "GAUGE", value: 1, labels: [] }] } as const

const appStats: AppStats = {
  userId: workspace.ownerId,
  workspaceId: workspace.id,
  agentId: agent(7),
  accessMethod: "path",
  slugOrPort: "8080",
  sessionId: agent(8),
  sessionStartedAt: at(0),
  sessionEndedAt: at(1),
  requests: 1
}

const event = [
  "event",
  `workspace_owner:${workspace.ownerId}`,
  { kind: "stats_update", workspace_id: workspace.id, agent_id: agent(7) }
]

describe("StatsReporter", () => {
  it.effect(
    "keeps the figures, shows the metrics, bumps, marks and announces, in this order [ST-10, ST-11, ST-13]",
    () =>
      Effect.gen(function* () {
        const { done, report } = yield* start()

        yield* report({ connection_count: 1, rx_bytes: 5 }, { metrics })

        assert.deepStrictEqual(done, [
          ["batch", 1, agent(7), workspace.ownerId, 5, false],
          ["metrics", { username: "ada", workspace: "dev", agent: "main", template: "docker" }, 1],
          ["bump", workspace.id],
          ["usage", workspace.id],
          event
        ])
      })
  )

  it.effect("keeps figures and shows metrics of an agent without connections, and does no more [ST-06, ST-07]", () =>
    Effect.gen(function* () {
      const { kinds, report } = yield* start()

      yield* report({ connection_count: 0, session_count_ssh: 3 }, { metrics })

      assert.deepStrictEqual(kinds(), ["batch", "metrics"])
    })
  )

  it.effect("takes sessions for activity where a person's program reports, not connections [ST-08]", () =>
    Effect.gen(function* () {
      const idle = yield* start()
      yield* idle.report({ connection_count: 1 }, { usage: true })
      assert.deepStrictEqual(idle.done, [["batch", 1, agent(7), workspace.ownerId, 0, true]])

      for (const said of [
        { session_count_vscode: 1 },
        { session_count_jetbrains: 1 },
        { session_count_reconnecting_pty: 1 },
        { session_count_ssh: 1 },
        { session_counts: { cursor: 1 } }
      ]) {
        const active = yield* start()
        yield* active.report(said, { usage: true })
        assert.deepStrictEqual(active.kinds(), ["batch", "bump", "usage", "event"])
      }
    })
  )

  it.effect("marks and announces a workspace that nobody has claimed, and does not bump it [ST-09]", () =>
    Effect.gen(function* () {
      const { kinds, report } = yield* start()

      yield* report({ connection_count: 1 }, { workspace: { ...workspace, ownerId: prebuildsUserId } })

      assert.deepStrictEqual(kinds(), ["batch", "usage", "event"])
    })
  )

  it.effect("warns when statistics cannot be announced, and goes on after a bump that fails [ST-11]", () =>
    Effect.gen(function* () {
      const { kinds, logs, report } = yield* start({
        publish: Effect.fail(
          new PubSub.PubSubError({ operation: "publish", channel: "any", cause: new Error("no route to host") })
        ),
        bump: Effect.fail(new StoreError({ operation: "bump", reason: "unavailable", cause: new Error("no route") }))
      })

      yield* report({ connection_count: 1 })

      assert.deepStrictEqual(kinds(), ["batch", "bump", "usage", "event"])
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Error", "Warn"]
      )
      assert.deepInclude(logs[1], { annotations: { agentId: agent(7), workspaceId: workspace.id } })
    })
  )

  it.effect("takes four seconds at most, and marks the workspace as used, while nothing responds [ST-10]", () =>
    Effect.gen(function* () {
      const { kinds, logs, report } = yield* start({ publish: Effect.never, bump: Effect.never })

      const reporting = yield* Effect.forkChild(report({ connection_count: 1 }), { startImmediately: true })
      yield* TestClock.adjust("3999 millis")
      assert.isUndefined(reporting.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      yield* Fiber.join(reporting)
      assert.deepStrictEqual(kinds(), ["batch", "bump", "usage", "event"])
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Error", "Warn"]
      )
    })
  )

  it.effect("announces what comes within an interval together, equal events once, and the first at once [ST-26]", () =>
    Effect.gen(function* () {
      const { done, kinds, report } = yield* start({ announceInterval: "250 millis" })
      const events = () => kinds().filter((kind) => kind === "event").length

      yield* report({ connection_count: 1 })
      assert.deepStrictEqual(done.at(-1), event)
      const reporting = yield* Effect.forEach([8, 9, 9], (id) =>
        Effect.forkChild(report({ connection_count: 1 }, { agentId: agent(id) }), { startImmediately: true })
      )
      yield* TestClock.adjust("249 millis")
      assert.strictEqual(events(), 1)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.joinAll(reporting)
      assert.strictEqual(events(), 3)
    })
  )

  it.effect("warns each agent of an announcement that fails, however long it collects [ST-26, ST-11]", () =>
    Effect.gen(function* () {
      const failure = new PubSub.PubSubError({ operation: "publish", channel: "owner", cause: "away" })
      const { logs, report } = yield* start({ announceInterval: "1 hour", publish: Effect.fail(failure) })

      yield* report({ connection_count: 1 })
      const reporting = yield* Effect.forkChild(report({ connection_count: 1 }), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reporting)

      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn", "Warn"]
      )
    })
  )

  it.effect("hands the use of apps on as it is, and nothing where there is none", () =>
    Effect.gen(function* () {
      const { done, reportApps } = yield* start()

      yield* reportApps([], at(1))
      assert.deepStrictEqual(done, [])
      yield* reportApps([appStats, appStats], at(1))
      assert.deepStrictEqual(done, [["apps", 2, 1_700_000_000_001]])
    })
  )
})
