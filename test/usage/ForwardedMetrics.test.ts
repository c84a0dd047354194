/** The metrics that agents report. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric, Schema } from "effect"
import { TestClock } from "effect/testing"
import type { AgentMetric } from "../../src/usage/AgentStats.ts"
import * as ForwardedMetrics from "../../src/usage/ForwardedMetrics.ts"
import * as Metrics from "../../src/usage/StatsMetrics.ts"
import { heapBytes } from "../support/heap.ts"
import * as Prometheus from "../support/prometheus.ts"

const owner = (agent: string, overrides: Partial<ForwardedMetrics.Owner> = {}): ForwardedMetrics.Owner => ({
  username: "ada",
  workspace: "dev",
  agent,
  template: "docker",
  ...overrides
})

const gauge = (name: string, value: number, labels: Readonly<Record<string, string>> = {}): AgentMetric => ({
  name,
  type: "GAUGE",
  value,
  labels: Object.entries(labels).map(([name, value]) => ({ name, value }))
})

const counter = (name: string, value: number, labels?: Readonly<Record<string, string>>): AgentMetric => ({
  ...gauge(name, value, labels),
  type: "COUNTER"
})

/** Forwarded metrics in a registry of their own. */
const start = Effect.fnUntraced(function* (options?: ForwardedMetrics.Options) {
  const registry: Metric.MetricRegistry = new Map()
  const own = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provideService(self, Metric.MetricRegistry, registry)
  const { report, reports } = yield* own(ForwardedMetrics.make(options))
  const page = (beside: string) =>
    Effect.map(reports(beside), (reports) => [...ForwardedMetrics.pieces(reports)].join(""))
  return {
    report,
    reports,
    page,
    /** The series on the page, beside those of the service. */
    series: (beside = "") =>
      Effect.map(page(beside), (text) =>
        text === ""
          ? []
          : [...Prometheus.parse(beside + text).values()]
              .flatMap(({ samples }) => samples)
              .filter(({ labels }) => "username" in labels)
      ),
    dropped: (reason: keyof typeof Metrics.droppedSeries) =>
      own(Effect.map(Metric.value(Metrics.droppedSeries[reason]), ({ count }) => count))
  }
})

describe("ForwardedMetrics", () => {
  it.effect("shows metrics with the labels of their agent before their own [ST-13]", () =>
    Effect.gen(function* () {
      const { page, report } = yield* start()

      yield* report(owner("main"), [
        counter("scripts_total", 3, { success: "true", kind: "start" }),
        gauge("load", 0.5)
      ])

      assert.deepStrictEqual((yield* page("")).split("\n"), [
        "# HELP scripts_total Forwarded from agents that are connected to this replica.",
        "# TYPE scripts_total counter",
        `scripts_total{username="ada",workspace="dev",agent="main",template="docker",kind="start",success="true"} 3`,
        "# HELP load Forwarded from agents that are connected to this replica.",
        "# TYPE load gauge",
        `load{username="ada",workspace="dev",agent="main",template="docker"} 0.5`,
        ""
      ])
    })
  )

  it.effect("shows what an agent has reported last, and nothing some time after that", () =>
    Effect.gen(function* () {
      const { report, series } = yield* start({ expireAfter: "1 minute" })
      const values = Effect.map(series(), (all) => all.map(({ name, value }) => [name, value]))

      yield* report(owner("a"), [gauge("load", 1), gauge("once", 1)])
      yield* TestClock.adjust("30 seconds")
      yield* report(owner("b"), [gauge("load", 2)])
      yield* report(owner("a"), [gauge("load", 3)])
      assert.sameDeepMembers(yield* values, [
        ["load", 2],
        ["load", 3]
      ])

      yield* TestClock.adjust("59 seconds")
      yield* report(owner("b"), [])
      assert.deepStrictEqual(yield* values, [["load", 3]])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* values, [])
    })
  )

  it.effect("tells other workers how many milliseconds ago an agent has reported [WK-13]", () =>
    Effect.gen(function* () {
      const { report, reports } = yield* start({ expireAfter: "1 minute" })
      yield* report(owner("a"), [gauge("load", 1)])
      yield* TestClock.adjust("30 seconds")

      const ages = (yield* reports("")).map(({ age }) => age)

      assert.deepStrictEqual(ages, [30_000])
    })
  )

  it.effect("leaves out and counts what cannot be shown", () =>
    Effect.gen(function* () {
      const { dropped, report, reports, series } = yield* start()

      yield* report(owner("main"), [
        gauge("", 1),
        gauge("1st", 1),
        gauge("with-dash", 1),
        gauge("line\nbreak 1", 1),
        gauge("load", 1, { "a-b": "c" }),
        gauge("load", 1, { __name__: "other" }),
        ...["username", "workspace", "agent", "template"].map((name) => gauge("load", 1, { [name]: "another" })),
        counter("below", -1),
        {
          ...gauge("load", 1),
          labels: [
            { name: "a", value: "1" },
            { name: "a", value: "2" }
          ]
        }
      ])
      assert.deepStrictEqual([yield* dropped("invalid"), yield* series()], [12, []])
      // an agent of whom nothing is shown takes no memory
      assert.deepStrictEqual(yield* reports(""), [])

      yield* report(owner("main"), [gauge("load", 1, { a: "" }), gauge("load", 2), counter("load", 3, { b: "c" })])
      assert.deepStrictEqual(
        (yield* series()).map(({ name, value }) => [name, value]),
        [["load", 1]]
      )
      assert.deepStrictEqual([yield* dropped("duplicate"), yield* dropped("type_conflict")], [1, 1])
    })
  )

  it.effect("leaves out and counts what the service has metrics for itself", () =>
    Effect.gen(function* () {
      const { dropped, report, series } = yield* start()
      const own = [
        "# HELP agents Agents.",
        "# TYPE agents gauge",
        "agents 1",
        "# HELP took Times.",
        "# TYPE took histogram",
        `took_bucket{le="+Inf"} 1`,
        "took_sum 1",
        "took_count 1",
        ""
      ].join("\n")

      for (const _ of [1, 2]) {
        yield* report(
          owner("main"),
          ["agents", "took", "took_count", "took_max"].map((name) => gauge(name, 1))
        )
        assert.deepStrictEqual(
          (yield* series(own)).map(({ name }) => name),
          ["took_max"]
        )
      }
      assert.strictEqual(yield* dropped("reserved"), 6)
    })
  )

  it.effect(
    "shows a counter of zero, and a metric with the name of a label or of a word of the service's own page",
    () =>
      Effect.gen(function* () {
        const { dropped, report, series } = yield* start()
        const own = '# HELP agents Agents in use.\n# TYPE agents gauge\nagents{state="idle"} 1\n'

        yield* report(owner("main"), [counter("state", 0), gauge("in", 1), gauge("idle", 1)])

        assert.deepStrictEqual(
          (yield* series(own)).map(({ name, value }) => [name, value]),
          [
            ["state", 0],
            ["in", 1],
            ["idle", 1]
          ]
        )
        assert.strictEqual(yield* dropped("reserved"), 0)
      })
  )

  it.effect("leaves out and counts series beyond the limit, until others have gone", () =>
    Effect.gen(function* () {
      const { dropped, report, series } = yield* start({ inAll: { series: 3, bytes: 10_000 } })

      yield* report(owner("a"), [gauge("x", 1), gauge("y", 1)])
      yield* report(owner("b"), [gauge("x", 1), gauge("y", 1)])
      assert.deepStrictEqual([(yield* series()).length, yield* dropped("full")], [3, 1])

      yield* report(owner("a"), [gauge("x", 1), gauge("y", 1)])
      assert.deepStrictEqual([(yield* series()).length, yield* dropped("full")], [3, 1])

      yield* TestClock.adjust("2 minutes")
      yield* report(owner("b"), [gauge("x", 1), gauge("y", 1), gauge("z", 1)])
      assert.deepStrictEqual([(yield* series()).length, yield* dropped("full")], [3, 1])
    })
  )

  /** More than an agent may show: a hundred series, each with ten labels of 200 characters of three bytes. */
  const largest = Array.from({ length: 100 }, (_, series) =>
    gauge(
      `${"m".repeat(190)}_${series}`,
      -2.2250738585072014e-308,
      Object.fromEntries(Array.from({ length: 10 }, (_, label) => [`${"l".repeat(90)}_${label}`, "€".repeat(200)]))
    )
  )

  it.effect("adds at most 12 MB to the page, whatever agents report [FT-07]", () =>
    Effect.gen(function* () {
      const { dropped, page, report } = yield* start()
      for (let number = 0; number < 100; number++) {
        yield* report(owner(`agent-${number}`, { username: `user-${number % 20}` }), largest)
      }

      const bytes = Buffer.byteLength(yield* page(""))
      assert.isBelow(bytes, 12_000_000)
      assert.isAbove(bytes, 8_000_000)
      assert.isAbove(yield* dropped("full"), 0)
    })
  )

  it.effect("leaves room for others, whatever one agent or one owner reports [FT-07]", () =>
    Effect.gen(function* () {
      const { dropped, page, report, series } = yield* start()
      for (let number = 0; number < 100; number++) yield* report(owner(`agent-${number}`), largest)
      yield* report(owner("main", { username: "bob" }), [gauge("load", 1)])

      assert.isBelow(Buffer.byteLength(yield* page("")), 4_000_000)
      assert.isAbove(yield* dropped("agent_limit"), 0)
      assert.isAbove(yield* dropped("owner_limit"), 0)
      assert.isTrue((yield* series()).some(({ name }) => name === "load"))
    })
  )

  it.effect("counts bytes for what is shown alone, however often agents report and leave [FT-07]", () =>
    Effect.gen(function* () {
      const bound = { series: 10, bytes: 5_000 }
      const { dropped, page, report, series } = yield* start({ perOwner: bound, inAll: bound })
      for (let round = 0; round < 1_000; round++) {
        yield* report(owner("a"), [gauge("x", round), gauge("y", round, { kind: "€" })])
        yield* report(owner("b"), [gauge("x", round), gauge("username", round)])
        if (round % 10 === 0) yield* TestClock.adjust("2 minutes")
      }
      assert.deepStrictEqual(
        [(yield* series()).length, yield* dropped("owner_limit"), yield* dropped("full")],
        [4, 0, 0]
      )

      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* page(""), "")
    })
  )

  it.effect.each([
    ["perAgent", "agent_limit"],
    ["perOwner", "owner_limit"],
    ["inAll", "full"]
  ] as const)("shows exactly as many series, and as many bytes, as the bound %s allows [FT-07]", ([bound, reason]) =>
    Effect.gen(function* () {
      const metrics = [counter("x", 1), counter("y", 1, { kind: "€" })]
      const free = yield* start()
      yield* free.report(owner("main"), metrics)
      const lines = (yield* free.page("")).split("\n").filter((line) => bound === "inAll" || !line.startsWith("#"))
      // a number may need 23 bytes more than the one here
      const bytes = Buffer.byteLength(lines.filter((line) => line !== "").join("\n")) + 1 + 2 * 23

      for (const [room, shown] of [
        [{ series: 2, bytes }, 2],
        [{ series: 1, bytes }, 1],
        [{ series: 2, bytes: bytes - 1 }, 1]
      ] as const) {
        const { dropped, report, series } = yield* start({ [bound]: room })
        yield* report(owner("main"), metrics)
        assert.deepStrictEqual([(yield* series()).length, yield* dropped(reason)], [shown, 2 - shown])
      }
    })
  )

  it.effect("remembers what an owner shows while one of the agents is there [FT-07]", () =>
    Effect.gen(function* () {
      const { dropped, report, series } = yield* start({ perOwner: { series: 2, bytes: 10_000 } })
      yield* report(owner("a"), [gauge("x", 1)])
      yield* report(owner("b"), [gauge("x", 1)])
      yield* report(owner("a"), [])

      yield* report(owner("c"), [gauge("x", 1), gauge("y", 1)])

      assert.deepStrictEqual([(yield* series()).length, yield* dropped("owner_limit")], [2, 1])
    })
  )

  it.effect("forgets owners whose agents are gone [FT-07]", () =>
    Effect.gen(function* () {
      const { report } = yield* start()
      const visit = Effect.fnUntraced(function* (round: number) {
        for (let number = 0; number < 20_000; number++) {
          yield* report(owner("main", { username: `user ${number} of round ${round}` }), [gauge("x", 1)])
          if (number % 100 === 0) yield* TestClock.adjust("2 minutes")
        }
      })
      yield* visit(1)
      const before = heapBytes()
      yield* visit(2)

      assert.isBelow(heapBytes() - before, 1_000_000)
    })
  )

  it.effect("shows a metric with another type once nobody shows it with the first one", () =>
    Effect.gen(function* () {
      const { dropped, report, series } = yield* start()
      yield* report(owner("a"), [gauge("x", 1)])
      yield* report(owner("b"), [gauge("x", 2)])
      yield* report(owner("a"), [])
      yield* report(owner("a"), [counter("x", 3)])
      assert.deepStrictEqual([(yield* series()).map(({ value }) => value), yield* dropped("type_conflict")], [[2], 1])

      yield* report(owner("b"), [])
      yield* report(owner("a"), [counter("x", 3)])

      assert.deepStrictEqual([(yield* series()).map(({ value }) => value), yield* dropped("type_conflict")], [[3], 1])
    })
  )

  const Text = Schema.String.check(Schema.isMaxLength(3))
  const Name = Schema.Union([Schema.Literals(["a", "b", "_x", "__x", "agents", "username", ""]), Text])
  const Reports = Schema.Array(
    Schema.Struct({
      owner: Schema.Struct({ username: Text, workspace: Text, agent: Text, template: Text }),
      metrics: Schema.Array(
        Schema.Struct({
          name: Name,
          type: Schema.Literals(["COUNTER", "GAUGE"]),
          value: Schema.Finite,
          labels: Schema.Array(Schema.Struct({ name: Name, value: Text }))
        })
      )
    })
  )
  it.effect.prop("is a page that Prometheus takes, whatever agents report", { reports: Reports }, ({ reports }) =>
    Effect.gen(function* () {
      const { report, series } = yield* start()
      for (const { metrics, owner } of reports) yield* report(owner, metrics)
      yield* series("# HELP agents Agents.\n# TYPE agents gauge\nagents 1\n")
    })
  )
})
