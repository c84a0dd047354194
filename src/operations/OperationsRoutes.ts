/**
 * The addresses for operators and their tools.
 *
 * - `/healthz`: the process responds.
 * - `/readyz`: the service can do its work; 503 with the problem while it cannot.
 * - `/metrics`: the {@link MetricsPage}. Metrics of the service are there from the start, at zero, so that the first
 *   increase is seen as one.
 * - `/docs` is the guide of those who operate the service, `/docs/deploy/…` has the files that it names, and `/docs/api` and
 *   `/openapi.json` are the HTTP API, as a page and as a document. They are compressed and cached.
 */
import { Effect, Layer, Metric } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import type { HttpApi, HttpApiGroup } from "effect/http-api"
import * as AgentMetrics from "../agentapi/AgentMetrics.ts"
import * as StaticContent from "../platform/StaticContent.ts"
import * as PubSubMetrics from "../pubsub/PubSubMetrics.ts"
import * as ApiDocument from "./ApiDocument.ts"
import * as ApiPage from "./ApiPage.ts"
import * as DocsPage from "./DocsPage.ts"
import * as GuidePage from "./GuidePage.ts"
import * as MetricsPage from "./MetricsPage.ts"
import { Readiness, Startup } from "./Readiness.ts"

const ready = Effect.gen(function* () {
  const startup = yield* Startup
  const readiness = yield* Readiness
  return Effect.map(readiness.problem, (problem) => {
    if (startup.isDraining) return respond("the service is stopping")
    return respond(startup.isComplete ? problem : "the service is starting")
  })
})

const respond = (problem: string | undefined) =>
  problem === undefined
    ? HttpServerResponse.text("ready\n")
    : HttpServerResponse.text(`not ready: ${problem}\n`, { status: 503 })

/** Registers metrics that would be absent before their first use: reading a metric registers it. */
const registered = Layer.effectDiscard(
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
export const layer = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  metrics: MetricsPage.Options
) =>
  Layer.mergeAll(
    registered,
    HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok\n")),
    HttpRouter.addAll(Effect.map(ready, (handler) => [HttpRouter.route("GET", "/readyz", handler)])),
    description(api),
    HttpRouter.addAll(
      Effect.map(MetricsPage.handler(metrics), (handler) => [HttpRouter.route("GET", "/metrics", handler)])
    )
  )

const description = <Id extends string, Groups extends HttpApiGroup.Constraint>(api: HttpApi.HttpApi<Id, Groups>) => {
  const document = ApiDocument.make(api)
  const serve = (path: `/${string}`, content: string, options: StaticContent.Options) =>
    HttpRouter.route("GET", path, StaticContent.handler(new TextEncoder().encode(content), options))
  return Layer.merge(
    HttpRouter.addAll([
      serve("/openapi.json", JSON.stringify(document), { type: "application/json" }),
      serve("/docs/api", ApiPage.render(document), { type: "text/html; charset=utf-8", headers: DocsPage.headers })
    ]),
    HttpRouter.addAll(
      Effect.map(GuidePage.load, (files) =>
        files.map(({ content, path, type }) => serve(path, content, { type, headers: DocsPage.headers }))
      )
    )
  )
}
