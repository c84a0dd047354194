/** A collector of traces on a port of this machine, which keeps the spans that it receives by OTLP as JSON. */
import { Effect, Schema } from "effect"
import { createServer } from "node:http"
import { portOf } from "./localServer.ts"

const Attributes = Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.Unknown }))

const Span = Schema.Struct({
  traceId: Schema.String,
  spanId: Schema.String,
  parentSpanId: Schema.optionalKey(Schema.String),
  name: Schema.String,
  attributes: Attributes,
  links: Schema.Array(Schema.Struct({ traceId: Schema.String, spanId: Schema.String })),
  events: Schema.Array(Schema.Struct({ name: Schema.String, attributes: Attributes }))
})
export type Span = typeof Span.Type

const decode = Schema.decodeUnknownSync(
  Schema.fromJsonString(
    Schema.Struct({
      resourceSpans: Schema.Array(
        Schema.Struct({ scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(Span) })) })
      )
    })
  )
)

/** Collects for as long as the scope, and returns `status`. */
export const make = Effect.fnUntraced(function* (status = 200) {
  const bodies: Array<string> = []
  const paths = new Set<string | undefined>()
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      paths.add(request.url)
      bodies.push(Buffer.concat(chunks).toString())
      response.writeHead(status, { "content-type": "application/json" }).end("{}")
    })
  })
  const port = yield* portOf(server, () => server.closeAllConnections())
  return {
    url: `http://127.0.0.1:${port}`,
    /** The bodies of the requests, as they arrived. */
    bodies,
    paths,
    spans: (): ReadonlyArray<Span> =>
      bodies
        .map((body) => decode(body))
        .flatMap(({ resourceSpans }) => resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(({ spans }) => spans)
  }
})
