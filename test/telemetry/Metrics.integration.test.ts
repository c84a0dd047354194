/**
 * The metrics page as its readers need it: what Prometheus' own `promtool check metrics` would say of it, and that the
 * alert rules and the Grafana dashboard speak of nothing else.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import { readFileSync } from "node:fs"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Prometheus from "../support/prometheus.ts"
import * as Service from "../support/service.ts"

/** The families of a service to which an agent has just connected, without those that agents forward. */
const families = Effect.gen(function* () {
  const { url } = yield* Service.TestService
  const { token } = yield* People.agent("cpu")
  yield* Agent.client(url, People.showing(token))
  return Prometheus.parse(yield* Effect.flatMap(HttpClient.get("/metrics"), ({ text }) => text))
})

const alerts = readFileSync("src/operations/deploy/alerts.yaml", "utf8")

/** The rules by their name. */
const rules = new Map(
  alerts
    .split(/^ {6}- alert: /m)
    .slice(1)
    .map((rule) => {
      const [, expression] = /^ {8}expr: (?:>-\n)?(.*?)^ {8}\w/ms.exec(rule)!
      return [rule.slice(0, rule.indexOf("\n")), { rule, expression: expression!.replaceAll(/\s+/g, " ").trim() }]
    })
)

interface Dashboard {
  readonly annotations: { readonly list: ReadonlyArray<{ readonly expr: string }> }
  readonly panels: ReadonlyArray<{
    readonly id: number
    readonly type: string
    readonly title: string
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
    readonly targets?: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>
  }>
}

const dashboard = JSON.parse(readFileSync("src/operations/deploy/grafana.json", "utf8")) as Dashboard

const drawn = [
  ...dashboard.annotations.list.map(({ expr }) => expr),
  ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
]

layer(Service.layer, { excludeTestServices: true })("the metrics of a service", (it) => {
  it.effect("are named as Prometheus wants it, each with a help text", () =>
    Effect.map(families, (families) => assert.deepStrictEqual(Prometheus.lint(families), []))
  )

  it.effect("are there from the start, the counters and histograms at zero", () =>
    Effect.gen(function* () {
      const page = yield* families

      for (const [name, labels] of [
        ["coderd_agentapi_metadata_lost_keys_total", { reason: "rejected" }],
        ["coderd_agentapi_metadata_dropped_keys_by_reason_total", { reason: "full" }],
        ["coderd_agentapi_metadata_flush_duration_seconds_count", { reason: "capacity" }],
        ["coderd_agentapi_metadata_batch_size_count", {}],
        ["coderd_agentapi_stats_lost_total", { reason: "shutdown" }],
        ["coderd_template_workspace_build_duration_seconds_count", {}],
        ["coder_pubsub_disconnections_total", {}]
      ] as const) {
        const samples = [...page.values()].flatMap(({ samples }) => samples)
        assert.deepInclude(samples, { name, labels, value: 0 })
      }
    })
  )

  it.effect("tell what the process takes", () =>
    Effect.gen(function* () {
      const page = yield* families
      const value = (name: string) => page.get(name)?.samples[0]?.value ?? 0

      assert.isAbove(value("process_cpu_seconds_total"), 0.1)
      assert.isAbove(value("process_resident_memory_bytes"), 10_000_000)
      assert.approximately(value("process_start_time_seconds"), Date.now() / 1_000 - process.uptime(), 5)
    })
  )

  it.effect("are the ones that alert rules and the Grafana dashboard name, with their labels", () =>
    Effect.gen(function* () {
      const page = yield* families
      const expressions = [...drawn, ...[...rules.values()].map(({ expression }) => expression)]

      assert.deepStrictEqual(
        expressions.flatMap((expression) => Prometheus.unknownIn(expression, page)),
        []
      )
    })
  )

  it.effect("are all drawn, but those that say the same as others", () =>
    Effect.gen(function* () {
      const page = yield* families
      const all = drawn.join("\n")

      assert.deepStrictEqual(
        [...page.keys()].filter((name) => !new RegExp(`\\b${name}(_bucket|_sum|_count)?\\b`).test(all)),
        []
      )
    })
  )
})

describe("the alert rules", () => {
  it("say how bad it is, what happened, and what that means", () => {
    assert.isAbove(rules.size, 10)
    for (const [name, { expression, rule }] of rules) {
      assert.match(name, /^[A-Z][A-Za-z]+$/)
      assert.match(expression, /[<>=]=? ?[\d.]+$|offset 10m\)$/, name)
      assert.match(rule, /severity: (critical|warning)$/m, name)
      assert.match(rule, /summary: \S/, name)
      assert.match(rule, /description: \S/, name)
    }
  })
})

describe("the Grafana dashboard", () => {
  it("has panels with titles that do not lie on each other", () => {
    const cells = dashboard.panels.flatMap(({ gridPos: { h, w, x, y } }) =>
      Array.from({ length: h * w }, (_, cell) => `${x + (cell % w)}/${y + Math.floor(cell / w)}`)
    )

    assert.strictEqual(new Set(cells).size, cells.length)
    assert.strictEqual(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
    for (const { targets = [], title, type } of dashboard.panels) {
      assert.notStrictEqual(title, "")
      assert.strictEqual(targets.length > 0, type !== "row", title)
    }
  })
})

describe("the linter of metrics", () => {
  const page = (name: string, type: string) => {
    const samples =
      type === "histogram" ? [`${name}_bucket{le="+Inf"} 1`, `${name}_sum 1`, `${name}_count 1`] : [`${name} 1`]
    return [`# HELP ${name} Help.`, `# TYPE ${name} ${type}`, ...samples, ""].join("\n")
  }
  const lint = (...args: Parameters<typeof page>) => Prometheus.lint(Prometheus.parse(page(...args)))

  it("finds what promtool finds", () => {
    assert.deepStrictEqual(lint("requests_total", "counter"), [])
    assert.deepStrictEqual(lint("request_duration_seconds", "histogram"), [])
    for (const [name, type] of [
      ["requests", "counter"],
      ["requests_total", "gauge"],
      ["requestsTotal_total", "counter"],
      ["latency_ms", "gauge"],
      ["latency_milliseconds", "gauge"],
      ["size_kilobytes", "gauge"],
      ["requests_count", "gauge"],
      ["size_bucket", "gauge"],
      ["gauge_of_requests", "gauge"],
      ["job:requests", "gauge"]
    ] as const) {
      assert.isNotEmpty(lint(name, type), name)
    }
  })

  it("finds names and labels in expressions that are not on a page", () => {
    const families = Prometheus.parse('# HELP a_total Help.\n# TYPE a_total counter\na_total{reason="b"} 1\n')
    const unknown = (expression: string) => Prometheus.unknownIn(expression, families)

    assert.deepStrictEqual(unknown('sum by (instance, reason) (rate(a_total{reason="b"}[5m])) > 0'), [])
    assert.deepStrictEqual(unknown('sum(rate(a_total{instance=~"$instance"}[$__rate_interval])) / 2'), [])
    assert.lengthOf(unknown("sum(a_bytes_total)"), 1)
    assert.lengthOf(unknown('a_total{reason="c"}'), 1)
    assert.lengthOf(unknown('a_total{cause="b"}'), 1)
    assert.lengthOf(unknown("sum by (cause) (a_total)"), 1)
  })
})
