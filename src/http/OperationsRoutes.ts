/**
 * What operators and their tools ask for.
 *
 * - `/healthz`: the process answers.
 * - `/readyz`: it can do its work; 503 while the database is away.
 * - `/metrics`: all metrics, as Prometheus text, with those that agents report.
 * - `/docs` and `/openapi.json`: the HTTP API, as a page and as a document. `/` leads to the page.
 */
import { Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiScalar, OpenApi } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { ConnectApi } from "../agentapi/ConnectApi.ts"
import { ForwardedMetrics } from "../agentapi/ForwardedMetrics.ts"
import { WatchApi } from "../watch/WatchApi.ts"
import { AdminApi } from "./AdminApi.ts"
import { UsageApi } from "./UsageApi.ts"

/** The port that tells whether the service can do its work. */
export class Readiness extends Context.Service<
  Readiness,
  {
    /** Why it cannot, or `undefined`. */
    readonly problem: Effect.Effect<string | undefined>
  }
>()("metadata-batcher/http/Readiness") {}

/** The whole HTTP API, for its description; each part has its own routes. */
const Api = HttpApi.make("metadata-batcher")
  .addHttpApi(AdminApi)
  .addHttpApi(UsageApi)
  .addHttpApi(WatchApi)
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

export const layer = Layer.mergeAll(
  HttpRouter.add("GET", "/", HttpServerResponse.redirect("/docs")),
  HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok\n")),
  HttpRouter.add("GET", "/readyz", ready),
  HttpRouter.add("GET", "/openapi.json", HttpServerResponse.json(OpenApi.fromApi(Api))),
  HttpRouter.add("GET", "/metrics", metrics),
  HttpApiScalar.layer(Api, { path: "/docs" })
)
