/** The traces that a collector gets from a service that agents and people use. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { execFileSync } from "node:child_process"
import * as Token from "../../src/access/Token.ts"
import * as Agent from "../support/agent.ts"
import * as Collector from "../support/collector.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"

const value = "a-value-of-an-agent"

/** Two agents report, and someone looks at one of them with a token in the address. Answers what is secret about that. */
const use = Effect.gen(function* () {
  const { logged, url } = yield* Service.TestService
  const one = yield* People.agent("cpu")
  const two = yield* People.agent("cpu")
  for (const { token } of [one, two]) {
    const client = yield* Agent.client(url, People.showing(token))
    yield* client.BatchUpdateMetadata({ metadata: [Agent.sample("cpu", value)] })
  }
  yield* logged("metadata written")
  const shown = Redacted.value(one.owner.token)
  yield* HttpClient.get(`/api/v2/workspaceagents/${one.id}/metadata?${Token.parameter}=${shown}`)
  yield* HttpClient.get(`/api/v2/workspaceagents/${one.id}/metadata`, { headers: People.bearer(one.owner.token) })
  yield* HttpClient.get("/healthz")
  return [value, shown, Redacted.value(one.token), Redacted.value(two.token)]
})

/** Uses a service with these settings until it has ended. */
const run = (environment: Readonly<Record<string, string>>) =>
  use.pipe(Effect.scoped, Effect.provide(Service.layerWith({ METADATA_FLUSH_INTERVAL: "100 millis", ...environment })))

const keys = (span: Collector.Span) => span.attributes.map(({ key }) => key)

describe("Tracing", () => {
  it.live("links each write to the reports that it took along, and has the announcement within it", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* run({ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` })

      assert.deepStrictEqual([...collector.paths], ["/v1/traces"])
      const spans = collector.spans()
      const named = (name: string) => spans.filter((span) => span.name === name)
      const ids = ({ spanId, traceId }: { readonly spanId: string; readonly traceId: string }) => `${traceId} ${spanId}`
      const reports = spans.filter(({ name }) => name.includes("BatchUpdateMetadata"))
      const flushes = named("MetadataBatcher.flush")

      assert.strictEqual(reports.length, 2)
      assert.sameMembers(
        flushes.flatMap(({ links }) => links.map(ids)),
        reports.map(ids)
      )
      assert.deepStrictEqual(new Set(reports.map(({ traceId }) => traceId)).size, 2)
      for (const flush of flushes) {
        assert.isUndefined(flush.parentSpanId)
        const parts = spans.filter(({ parentSpanId }) => parentSpanId === flush.spanId).map(({ name }) => name)
        assert.sameMembers(parts, ["PgMetadataStore.updateBatch", "MetadataBatcher.publish"])
      }
      const published = named("PubSub.publish").map(({ parentSpanId }) => parentSpanId)
      assert.includeMembers(
        published,
        named("MetadataBatcher.publish").map(({ spanId }) => spanId)
      )
    }).pipe(Effect.scoped)
  )

  it.live("tells a collector neither tokens nor values", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      const secrets = yield* run({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })

      const sent = collector.bodies.join("\n")
      assert.include(sent, Token.parameter)
      for (const secret of secrets) assert.notInclude(sent, secret)
    }).pipe(Effect.scoped)
  )

  it.live("has requests as spans, but neither connections of agents nor what is asked all the time", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* run({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })

      const requests = collector.spans().filter((span) => keys(span).includes("http.request.method"))
      const paths = requests.flatMap(({ attributes }) =>
        attributes.filter(({ key }) => key === "url.path").map(({ value }) => JSON.stringify(value))
      )
      assert.strictEqual(paths.length, 2)
      for (const path of paths) assert.match(path, /workspaceagents\/[^/]+\/metadata"/)
    }).pipe(Effect.scoped)
  )

  it.live("sends nothing with a ratio of zero, whatever agents ask for, and nothing without an address", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make()
      yield* run({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, TRACE_SAMPLE_RATIO: "0" })
      yield* run({})

      assert.deepStrictEqual(collector.bodies, [])
    }).pipe(Effect.scoped)
  )

  it("loads OpenTelemetry only with an address", () => {
    const output = execFileSync(
      process.execPath,
      [
        "--input-type=module",
        "--eval",
        `import { registerHooks } from "node:module"
import { Effect, Layer } from "effect"
let found = false
registerHooks({ load: (url, context, next) => ((found ||= url.includes("opentelemetry")), next(url, context)) })
await import("./src/Server.ts")
const { layer } = await import("./src/telemetry/Tracing.ts")
for (const endpoint of [undefined, "http://127.0.0.1:9"]) {
  await Effect.runPromise(Effect.scoped(Layer.build(layer({ endpoint, sampleRatio: 1 }))))
  console.log(found)
}`
      ],
      { encoding: "utf8" }
    )

    assert.strictEqual(output, "false\ntrue\n")
  })

  it.live("logs that spans were not sent, and serves", () =>
    Effect.gen(function* () {
      const collector = yield* Collector.make(400)
      const logs = yield* Effect.gen(function* () {
        const { logs } = yield* Service.TestService
        yield* use
        return logs
      }).pipe(Effect.scoped, Effect.provide(Service.layerWith({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url })))

      assert.isTrue(logs.some((line) => line.includes("spans not sent")))
    }).pipe(Effect.scoped)
  )
})
