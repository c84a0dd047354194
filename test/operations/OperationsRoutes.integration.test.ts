/** Requests of operators to a running service. */
import { assert, describe, it, layer } from "@effect/vitest"
import { NodeCrypto } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Metric } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import type { OpenApi } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import * as ApiDocument from "../../src/operations/ApiDocument.ts"
import { Overview } from "../../src/operations/Overview.ts"
import { Startup } from "../../src/operations/Readiness.ts"
import * as Server from "../../src/Server.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as PgProxy from "../support/PgProxy.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Prometheus from "../support/prometheus.ts"
import * as Service from "../support/service.ts"

const get = Effect.fnUntraced(function* (path: string) {
  const response = yield* HttpClient.get(path)
  return { status: response.status, type: response.headers["content-type"] ?? "", text: yield* response.text }
})

layer(Service.layer, { excludeTestServices: true })("the operations of a service", (it) => {
  it.effect("need no token", () =>
    Effect.gen(function* () {
      for (const path of [
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        "/docs/api",
        "/docs/deploy/nginx.conf",
        "/openapi.json"
      ]) {
        assert.strictEqual((yield* get(path)).status, 200)
      }
    })
  )

  it.effect("describe every route, with its callers and its responses", () =>
    Effect.gen(function* () {
      const { text } = yield* get("/openapi.json")
      const document = JSON.parse(text) as {
        readonly openapi: string
        readonly info: { readonly title: string }
        readonly paths: Record<
          string,
          Record<string, { summary?: string; description?: string; security: ReadonlyArray<object>; responses: object }>
        >
        readonly components: { readonly securitySchemes: object }
      }

      const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({ route: `${method} ${path}`, ...operation }))
      )
      assert.match(document.openapi, /^3\.1/)
      assert.strictEqual(document.info.title, "metadata-batcher")
      assert.sameMembers(
        operations.map(({ route }) => route),
        [
          "get /api/v2/dashboard/history",
          "get /api/v2/users",
          "post /api/v2/users",
          "get /api/v2/users/{username}",
          "patch /api/v2/users/{username}",
          "delete /api/v2/users/{username}",
          "get /api/v2/users/{username}/tokens",
          "delete /api/v2/users/{username}/tokens/{name}",
          "post /api/v2/users/{username}/tokens",
          "get /api/v2/users/{username}/secrets",
          "put /api/v2/users/{username}/secrets/{name}",
          "delete /api/v2/users/{username}/secrets/{name}",
          "get /api/v2/workspaces",
          "post /api/v2/workspaces",
          "get /api/v2/workspaces/{workspace}",
          "patch /api/v2/workspaces/{workspace}",
          "delete /api/v2/workspaces/{workspace}",
          "get /api/v2/workspaceagents/{agent}/declarations",
          "patch /api/v2/workspaceagents/{agent}",
          "delete /api/v2/workspaceagents/{agent}",
          "get /api/v2/workspaces/{workspace}/agents",
          "post /api/v2/workspaces/{workspace}/agents",
          "post /api/v2/workspaceagents/{agent}/token",
          "post /api/v2/workspaces/{workspace}/usage",
          "get /api/v2/workspaceagents/{agent}/metadata",
          "get /api/v2/workspaceagents/{agent}/watch-metadata",
          "get /api/v2/workspaceagents/{agent}/watch-metadata-ws",
          "get /api/v2/workspaceagents/{agent}/logs",
          "get /api/v2/workspaceagents/{agent}",
          "get /api/v2/workspaceagents/{agent}/context",
          "get /api/v2/workspaceagents/me/rpc",
          "post /api/v2/workspaceagents/me/metadata",
          "post /api/v2/workspaceagents/me/metadata-keys",
          "post /api/v2/workspaceagents/me/log-source",
          "patch /api/v2/workspaceagents/me/logs",
          "patch /api/v2/workspaceagents/me/app-status",
          "get /api/v2/workspaceagents/me/reinit",
          "get /api/v2/workspaceagents/me/gitsshkey",
          "get /api/v2/workspaceagents/me/external-auth",
          "get /api/v2/workspaceagents/me/gitauth",
          "get /api/v2/buildinfo",
          "get /derp/latency-check",
          "get /api/v2/workspaceagents/{agent}/coordinate",
          "get /api/v2/tailnet",
          "get /api/v2/workspaceagents/{agent}/connection",
          "get /api/v2/workspaceagents/connection",
          "get /api/v2/derp-map",
          "get /api/v2/dashboard/viewer",
          "get /api/v2/dashboard/overview",
          "get /api/v2/dashboard/watch-overview",
          "get /api/v2/dashboard/agents",
          "get /api/v2/dashboard/agents/{agent}"
        ]
      )
      const described = Object.fromEntries(operations.map(({ description, route }) => [route, description]))
      for (const [route, ...facts] of [
        ["get /api/v2/workspaceagents/{agent}/coordinate", "yamux", "dRPC", "that agent alone", "1008", "1011", "1012"],
        ["get /api/v2/tailnet", "yamux", "dRPC", "every agent that the user may reach", "1008", "1011", "1012"],
        ["get /api/v2/workspaceagents/{agent}/connection", "DERP map"],
        ["get /api/v2/workspaceagents/connection", "DERP map"],
        ["get /api/v2/derp-map", "No token", "1012"]
      ] as const) {
        for (const fact of facts) assert.include(described[route], fact, route)
      }
      for (const { responses, route, security, summary } of operations) {
        assert.isString(summary, route)
        if (route === "get /api/v2/buildinfo" || route === "get /derp/latency-check") continue
        // anyone may follow it
        if (route === "get /api/v2/derp-map") continue
        assert.isNotEmpty(security, route)
        assert.containsAllKeys(responses, ["401", "503"], route)
      }
      assert.containsAllKeys(document.components.securitySchemes, ["header", "bearer", "query"])
    })
  )

  it.effect("describe every tag, parameter, response and place of a token in words [LF-17]", () =>
    Effect.gen(function* () {
      const document = JSON.parse((yield* get("/openapi.json")).text) as OpenApi.OpenAPISpec
      const operations = Object.values(document.paths).flatMap(ApiDocument.operationsOf)
      const isSentence = ({ description = "" }: { readonly description?: string }) =>
        /^[A-Z].* .*[.]$/s.test(description)

      assert.isAbove(operations.length, 40)
      const described = [
        document.info,
        ...document.tags,
        ...Object.values(document.components.securitySchemes),
        ...operations.flatMap(({ operation }) => [...operation.parameters, ...Object.values(operation.responses)])
      ]
      assert.deepStrictEqual(
        described.filter((one) => !isSentence(one)),
        []
      )
    })
  )

  it.effect("give all metrics as text that Prometheus takes", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { token } = yield* People.agent("cpu")
      const agent = yield* Agent.client(url, People.showing(token))
      yield* agent.BatchUpdateMetadata({ metadata: [Agent.sample("cpu", "1")] })

      const { text, type } = yield* get("/metrics")

      assert.match(type, /^text\/plain; version=0\.0\.4/)
      const families = Prometheus.parse(text)
      assert.includeMembers(
        [...families.keys()],
        [
          "coderd_agentapi_connected_agents",
          "coderd_agentapi_metadata_accepted_keys_total",
          "coderd_agentapi_metadata_batches_total",
          "coderd_agentapi_metadata_dropped_keys_total",
          "coder_pubsub_connected",
          "coder_pubsub_current_subscribers"
        ]
      )
      assert.deepStrictEqual(families.get("coderd_agentapi_connected_agents")?.samples, [
        { name: "coderd_agentapi_connected_agents", labels: {}, value: 1 }
      ])
    })
  )
})

/** The service over a database behind a proxy, whose pubsub listens past it. */
const behindProxy = Layer.unwrap(
  Effect.map(Postgres.TestDatabase, ({ url }) =>
    Service.layerOver((settings) => Server.layerStorage({ ...settings, databaseListenUrl: url }))
  )
).pipe(
  Layer.provideMerge(Layer.unwrap(PgProxy.PgProxy.useSync(({ url }) => PgClient.layer({ url, maxConnections: 4 })))),
  Layer.provideMerge(PgProxy.layer),
  Layer.provide(Postgres.layerDatabase),
  Layer.provide(NodeCrypto.layer)
)

layer(behindProxy, { excludeTestServices: true })("a service whose database goes away", (it) => {
  it.effect("is healthy and not ready until the database is back", () =>
    Effect.gen(function* () {
      const { down } = yield* PgProxy.PgProxy
      const [health, ready] = [get("/healthz"), get("/readyz")]
      assert.deepInclude(yield* ready, { status: 200, text: "ready\n" })

      yield* Effect.gen(function* () {
        assert.deepInclude(yield* ready, { status: 503, text: "not ready: the database does not answer\n" })
        assert.deepInclude(yield* health, { status: 200, text: "ok\n" })
      }).pipe(down)

      assert.deepInclude(yield* ready, { status: 200, text: "ready\n" })
    })
  )

  it.effect("says 503 and not that a token or a request is wrong", () =>
    Effect.gen(function* () {
      const { down } = yield* PgProxy.PgProxy
      const { url } = yield* Service.TestService
      const { id, owner, token } = yield* People.agent("cpu")
      const admin = yield* People.user({ isAdmin: true })
      const status = (path: string, headers: Record<string, string>) =>
        Effect.map(HttpClient.get(path, { headers }), (response) => response.status)

      const answers = yield* Effect.all([
        status(`/api/v2/workspaceagents/${id}/metadata`, People.showing(owner.token)),
        status(`/api/v2/users`, People.bearer(admin.token)),
        Effect.map(Effect.flip(Agent.connect(url, People.showing(token))), (refused) => refused.status)
      ]).pipe(down)

      assert.deepStrictEqual(answers, [503, 503, 503])
      assert.strictEqual(yield* status("/api/v2/users", People.bearer(admin.token)), 200)
    })
  )

  it.effect("counts what fails, and names it in the metrics, the overview and the log [FT-28, FT-29]", () =>
    Effect.gen(function* () {
      const { down } = yield* PgProxy.PgProxy
      const { logged, url } = yield* Service.TestService
      const { id, owner, token, workspace } = yield* People.agent("cpu")
      const agent = yield* Agent.client(url, People.showing(token))
      const headers = People.showing(owner.token)
      yield* agent.GetAnnouncementBanners({})

      yield* Effect.all([
        Effect.flip(agent.GetAnnouncementBanners({})),
        HttpClient.get("/api/v2/dashboard/agents", { headers })
      ]).pipe(down)

      yield* logged("ERROR", "cannot read", `"agentId":"${id}"`, `"workspaceId":"${workspace.id}"`)

      const families = Prometheus.parse((yield* get("/metrics")).text)
      const samples = (name: string) => families.get(name)!.samples.filter(({ value }) => value > 0)
      assert.isNotEmpty(
        samples("metadata_batcher_store_failures_total").filter(({ labels }) => labels["reason"] === "unavailable")
      )
      assert.deepStrictEqual(
        samples("metadata_batcher_failed_calls_total").map(({ labels }) => labels),
        [{ call: "GetAnnouncementBanners", reason: "Unavailable" }]
      )
      assert.isNotEmpty(
        samples("metadata_batcher_http_responses_total").filter(({ labels }) => labels["status"] === "503")
      )

      const overview = Effect.flatMap(
        HttpClient.get("/api/v2/dashboard/overview", { headers }),
        HttpClientResponse.schemaBodyJson(Overview)
      )
      const labels = ["operations of the database failed", "calls of agents failed", "HTTP requests failed"]
      const { incidents } = yield* Effect.repeat(overview, {
        until: ({ problems }) => labels.every((label) => problems.some((problem) => problem.endsWith(label)))
      })
      for (const label of labels) {
        assert.isTrue(
          incidents.some((incident) => incident.label === label && incident.total > 0),
          label
        )
      }
    })
  )
})

describe("Prometheus text", () => {
  it("is rejected by its strict reader when a scraper would fail", () => {
    const family = (...samples: ReadonlyArray<string>) =>
      ["# HELP a Help.", "# TYPE a counter", ...samples, ""].join("\n")
    const histogram = (...samples: ReadonlyArray<string>) => family(...samples).replace("counter", "histogram")

    assert.strictEqual(Prometheus.parse(family("a 1", 'a{b="c"} 2')).size, 1)
    for (const [page, message] of [
      ["a 1\n", "outside its family"],
      [family("a 1").trimEnd(), "no end of the last line"],
      [family(), "not complete"],
      [family("a 1", "a 2"), "given twice"],
      [family('a{b="c",d="e"} 1', 'a{d="e",b="c"} 2'), "given twice"],
      [family('a{b="c",b="d"} 1'), "label given twice"],
      [family('a{b="c"d"} 1'), "a label that is none"],
      [family('a{1="c"} 1'), "a label that is none"],
      [family("a one"), "no number"],
      [family("a -1"), "below zero"],
      [family("b 1"), "outside its family"],
      [`${family("a 1")}${family("a 2")}`, "described twice"],
      [`# TYPE a counter\n# HELP a Help.\na 1\n`, "a type in the wrong place"],
      [histogram('a_bucket{le="1"} 2', 'a_bucket{le="+Inf"} 1', "a_count 1"), "do not add up"],
      [histogram('a_bucket{le="1"} 2', "a_count 2"), "no last bucket"]
    ] as const) {
      assert.throws(() => Prometheus.parse(page), message)
    }
  })

  it.effect("escapes what labels and help texts may hold", () =>
    Effect.gen(function* () {
      const gauge = Metric.gauge("strange", { description: "line one\nline two \\ end" })
      const value = 'quotes " slashes \\ and \n lines'
      yield* Metric.update(Metric.withAttributes(gauge, { label: value }), 1)

      const families = Prometheus.parse(yield* PrometheusMetrics.format())

      assert.deepStrictEqual(families.get("strange")?.samples, [
        { name: "strange", labels: { label: value }, value: 1 }
      ])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )
})

const startup = { isComplete: false, isDraining: false }

layer(Layer.provide(Service.layer, Layer.succeed(Startup, startup)), { excludeTestServices: true })(
  "a service that starts",
  (it) => {
    it.effect("is ready when everything exists that calls need, and not before [FT-31]", () =>
      Effect.gen(function* () {
        assert.deepInclude(yield* get("/readyz"), { status: 503, text: "not ready: the service is starting\n" })
        assert.strictEqual((yield* get("/healthz")).status, 200)

        startup.isComplete = true

        assert.deepInclude(yield* get("/readyz"), { status: 200, text: "ready\n" })
      })
    )
  }
)
