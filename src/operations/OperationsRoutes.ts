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
import { type HttpApi, type HttpApiGroup, HttpApiScalar, OpenApi } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import * as AgentMetrics from "../agentapi/AgentMetrics.ts"
import { ForwardedMetrics } from "../usage/ForwardedMetrics.ts"
import * as PubSubMetrics from "../pubsub/PubSubMetrics.ts"
import { Readiness } from "./Readiness.ts"

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

/** `api` is the whole HTTP API, for its description; each part of it has routes of its own. */
export const layer = <Id extends string, Groups extends HttpApiGroup.Constraint>(api: HttpApi.HttpApi<Id, Groups>) =>
  Layer.mergeAll(
    shown,
    HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok\n")),
    HttpRouter.add("GET", "/readyz", ready),
    HttpRouter.add("GET", "/openapi.json", HttpServerResponse.json(OpenApi.fromApi(api))),
    HttpRouter.add("GET", "/metrics", metrics),
    HttpApiScalar.layer(api, { path: "/docs" })
  )
