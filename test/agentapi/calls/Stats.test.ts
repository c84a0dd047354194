/** `UpdateStats`, called as an agent calls it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import type { AgentSession } from "../../../src/agentapi/session/AgentSession.ts"
import * as Stats from "../../../src/agentapi/calls/Stats.ts"
import { type Report, StatsReporter } from "../../../src/usage/StatsReporter.ts"
import { calling, session } from "../../support/agentApi.ts"
import { identity, workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"
import { StatsOptions } from "../../../src/usage/StatsOptions.ts"

/** Calls with what an agent puts on the wire, and remembers what is reported. */
const connect = Effect.fnUntraced(function* (
  given: {
    readonly options?: Partial<typeof StatsOptions.Service>
    readonly session?: Partial<AgentSession["Service"]>
    readonly report?: (report: Report) => Effect.Effect<void>
  } = {}
) {
  const reports: Array<Report> = []
  const logs: Array<LogRecord> = []
  const { UpdateStats } = yield* Stats.make.pipe(
    Effect.provideService(StatsReporter, {
      report: given.report ?? ((report) => Effect.sync(() => void reports.push(report))),
      reportApps: () => Effect.die("nobody asks for that")
    }),
    Effect.provideService(StatsOptions, {
      reportInterval: "30 seconds",
      workspaceUsage: false,
      ...given.options
    })
  )
  const call = calling(Stats.UpdateStatsRequest, UpdateStats, session(agent(7), given.session))
  return { call: (request: unknown) => call(request).pipe(collectLogs(logs)), reports, logs }
})

describe("UpdateStats", () => {
  it.effect("returns the interval alone to a request without statistics, and looks nothing up [ST-01]", () =>
    Effect.gen(function* () {
      const { call, reports } = yield* connect({ session: { workspace: Effect.die("nobody asks for that") } })

      assert.deepStrictEqual(yield* call({}), { report_interval: 30 })
      assert.deepStrictEqual(reports, [])
    })
  )

  it.effect("returns the interval of the settings, in seconds, to every request [ST-02]", () =>
    Effect.gen(function* () {
      const { call } = yield* connect({ options: { reportInterval: "1500 millis" } })

      assert.deepStrictEqual(yield* call({}), { report_interval: 1.5 })
      assert.deepStrictEqual(yield* call({ stats: {} }), { report_interval: 1.5 })
      assert.deepStrictEqual(yield* call({ stats: { connection_count: 1 } }), { report_interval: 1.5 })
    })
  )

  it.effect("reports for the agent of the session, at the time of the service, what was left out as zero", () =>
    Effect.gen(function* () {
      const { call, reports } = yield* connect()
      yield* TestClock.setTime(5_000)

      yield* call({
        stats: {
          connections_by_proto: { TCP: 2 },
          connection_count: 2,
          connection_median_latency_ms: 1.25,
          rx_bytes: 9_007_199_254_740_991,
          session_count_ssh: 1,
          session_counts: { cursor: 3 },
          metrics: [{ name: "a", type: "GAUGE", value: -1, labels: [{ name: "b", value: "c" }] }]
        }
      })

      const [{ at, ...report }] = reports as [Report]
      assert.strictEqual(at.epochMilliseconds, 5_000)
      assert.deepStrictEqual(report, {
        workspace,
        agentId: agent(7),
        usage: false,
        figures: {
          connections_by_proto: { TCP: 2 },
          connection_count: 2,
          connection_median_latency_ms: 1.25,
          rx_packets: 0,
          rx_bytes: 9_007_199_254_740_991,
          tx_packets: 0,
          tx_bytes: 0,
          session_count_vscode: 0,
          session_count_jetbrains: 0,
          session_count_reconnecting_pty: 0,
          session_count_ssh: 1,
          session_counts: { cursor: 3 }
        },
        metrics: {
          agentName: "main",
          all: [{ name: "a", type: "GAUGE", value: -1, labels: [{ name: "b", value: "c" }] }]
        }
      })
    })
  )

  it.effect("takes the workspace that the session finds, and says of which agent it finds none [ST-03]", () =>
    Effect.gen(function* () {
      const found = { ...identity(agent(7)).workspace, name: "found" }
      const there = yield* connect({ session: { workspace: Effect.succeed(found) } })
      yield* there.call({ stats: {} })
      assert.strictEqual(there.reports[0]?.workspace.name, "found")

      const error = new StoreError({
        operation: `find the workspace of agent ${agent(7)}`,
        reason: "unavailable",
        cause: new Error("no route to host")
      })
      const away = yield* connect({ session: { workspace: Effect.fail(error) } })
      const answer = yield* Effect.flip(away.call({ stats: {} }))
      assert.deepInclude(answer, {
        _tag: "Unavailable",
        message: `cannot find the workspace of agent ${agent(7)} now`
      })
      assert.deepStrictEqual(
        away.logs.map(({ level, message }) => [level, message.split(" {")[0]]),
        [["Error", `cannot find the workspace of agent ${agent(7)}`]]
      )
      assert.deepStrictEqual(away.reports, [])
    })
  )

  it.effect("counts no sessions where people's programs do that [ST-04]", () =>
    Effect.gen(function* () {
      const stats = {
        connection_count: 9,
        session_count_vscode: 1,
        session_count_jetbrains: 2,
        session_count_reconnecting_pty: 3,
        session_count_ssh: 4,
        session_counts: { cursor: 5 }
      }
      const sessionsOf = ({ figures }: Report) => [
        figures.session_count_vscode,
        figures.session_count_jetbrains,
        figures.session_count_reconnecting_pty,
        figures.session_count_ssh,
        figures.session_counts
      ]
      const off = yield* connect()
      const on = yield* connect({ options: { workspaceUsage: true } })

      yield* off.call({ stats })
      yield* on.call({ stats })

      assert.deepStrictEqual(off.reports.map(sessionsOf), [[1, 2, 3, 4, { cursor: 5 }]])
      assert.deepStrictEqual(on.reports.map(sessionsOf), [[0, 0, 0, 0, {}]])
      assert.strictEqual(on.reports[0]?.figures.connection_count, 9)
    })
  )

  it.effect("has no error of the reporter to pass on, and returns a defect of it with its context [ST-05]", () =>
    Effect.gen(function* () {
      const { call } = yield* connect({ report: () => Effect.die("the reporter is broken") })

      const exit = yield* Effect.exit(call({ stats: {} }))

      assert.include(Exit.isFailure(exit) ? String(exit.cause) : "", "the reporter is broken")
    })
  )

  it.effect("rejects values beyond a limit with the limit, and accepts values just within", () =>
    Effect.gen(function* () {
      const { call, reports } = yield* connect()
      const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, 1]))
      const metric = (overrides: object) => ({ metrics: [{ name: "a", type: "GAUGE", ...overrides }] })
      const labels = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `l${index}`, value: "" }))
      const metrics = (count: number) => ({
        metrics: Array.from({ length: count }, () => ({ name: "a", type: "COUNTER" }))
      })

      const pairs: ReadonlyArray<readonly [within: object, beyond: object, problem: string]> = [
        [{ connections_by_proto: names(64) }, { connections_by_proto: names(65) }, "at most 64 names"],
        [{ session_counts: names(64) }, { session_counts: names(65) }, "at most 64 names"],
        [
          { session_counts: { ["x".repeat(64)]: 1 } },
          { session_counts: { ["x".repeat(65)]: 1 } },
          "at most 64 characters"
        ],
        [{ connection_count: 0 }, { connection_count: -1 }, "a number from 0 to 9007199254740991"],
        [{ rx_bytes: 1 }, { rx_bytes: 1.5 }, "an integer"],
        [{ rx_bytes: 1 }, { rx_bytes: 9_007_199_254_740_992 }, "an integer"],
        [metrics(1_000), metrics(1_001), "at most 1000 metrics"],
        [metric({ name: "x".repeat(200) }), metric({ name: "x".repeat(201) }), "at most 200 characters"],
        [metric({ labels: labels(10) }), metric({ labels: labels(11) }), "at most 10 labels"],
        [
          metric({ labels: [{ name: "x".repeat(100), value: "x".repeat(200) }] }),
          metric({ labels: [{ name: "x".repeat(101), value: "" }] }),
          "at most 100 characters"
        ],
        [
          metric({ labels: [{ name: "", value: "" }] }),
          metric({ labels: [{ name: "", value: "x".repeat(201) }] }),
          "at most 200 characters"
        ],
        [metric({ type: "COUNTER" }), metric({ type: "TYPE_UNSPECIFIED" }), `"COUNTER" | "GAUGE"`],
        [{ connection_median_latency_ms: -1 }, { connection_median_latency_ms: "1" }, "number"]
      ]
      for (const [within, beyond, problem] of pairs) {
        assert.deepStrictEqual(yield* call({ stats: within }), { report_interval: 30 })
        assert.include(String(yield* Effect.flip(call({ stats: beyond }))), problem)
      }
      assert.strictEqual(reports.length, pairs.length)
    })
  )

  it.effect("takes names that mean something to the language or to the database for names", () =>
    Effect.gen(function* () {
      const { call, reports } = yield* connect()

      yield* call(JSON.parse(`{"stats":{"session_counts":{"__proto__":1,"constructor":2,"a\\u0000b":3,"\\ud800":4}}}`))

      assert.deepStrictEqual(Object.entries(reports[0]!.figures.session_counts).toSorted(), [
        ["__proto__", 1],
        ["ab", 3],
        ["constructor", 2],
        ["\ufffd", 4]
      ])
    })
  )
})
