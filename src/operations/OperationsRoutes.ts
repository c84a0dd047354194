/**
 * What operators and their tools ask for.
 *
 * - `/healthz`: the process answers.
 * - `/readyz`: it can do its work; 503 while the database is away.
 * - `/metrics`: all metrics, as Prometheus text, with those that agents report. Those of the service are there from the
 *   start, at zero, so that the first increase is seen as one.
 * - `/docs` and `/openapi.json`: the HTTP API, as a page and as a document.
 */
import { Effect, Layer, Metric } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiScalar, OpenApi } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import * as AgentMetrics from "../agentapi/AgentMetrics.ts"
import { ConnectApi } from "../agentapi/AgentSocketApi.ts"
import { ForwardedMetrics } from "../usage/ForwardedMetrics.ts"
import { DashboardApi } from "../dashboard/DashboardApi.ts"
import * as PubSubMetrics from "../pubsub/PubSubMetrics.ts"
import { WatchApi } from "../watch/WatchApi.ts"
import { AdminApi } from "../admin/AdminApi.ts"
import { Readiness } from "./Readiness.ts"
import { UsageApi } from "../usage/UsageApi.ts"

/** The whole HTTP API, for its description; each part has its own routes. */
const Api = HttpApi.make("metadata-batcher")
  .addHttpApi(AdminApi)
  .addHttpApi(UsageApi)
  .addHttpApi(WatchApi)
  .addHttpApi(DashboardApi)
  .addHttpApi(ConnectApi)
  .annotateMerge(OpenApi.annotations({ title: "metadata-batcher", version: "2" }))

const ready = Effect.gen(function* () {
  const problem = yield* (yield* Readiness).problem
  return problem === undefined
    ? HttpServerResponse.text("ready\n")
    : HttpServerResponse.text(`not ready: ${problem}\n`, { status: 503 })
})

const metrics = Effect.gen(function* () {
  const own = yield* PrometheusMetrics.format()
  const forwarded = yield* (yield* ForwardedMetrics).page(own)
  return HttpServerResponse.text(own + forwarded, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
})

/** What is not shown before it has happened otherwise: to read a metric is to show it. */
const shown = Layer.effectDiscard(
  Effect.forEach(
    [
      AgentMetrics.connectedAgents,
      AgentMetrics.buildDuration,
      PubSubMetrics.sendLatencySeconds("postgres"),
      PubSubMetrics.receiveLatencySeconds("postgres"),
      PubSubMetrics.latencyMeasures,
      PubSubMetrics.latencyMeasureErrors
    ],
    (metric) => Metric.value<never, unknown>(metric),
    { discard: true }
  )
)

export const layer = Layer.mergeAll(
  shown,
  HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok\n")),
  HttpRouter.add("GET", "/readyz", ready),
  HttpRouter.add("GET", "/openapi.json", HttpServerResponse.json(OpenApi.fromApi(Api))),
  HttpRouter.add("GET", "/metrics", metrics),
  HttpApiScalar.layer(Api, { path: "/docs" })
)
