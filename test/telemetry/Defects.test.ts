import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Layer } from "effect"
import { HttpClient, HttpRouter, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Defects from "../../src/telemetry/Defects.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"

class TooLarge extends Data.TaggedError("TooLarge") implements HttpServerRespondable.Respondable {
  [HttpServerRespondable.symbol]() {
    return Effect.succeed(HttpServerResponse.text("too large", { status: 413 }))
  }
}

const Api = HttpApi.make("api").add(HttpApiGroup.make("group").add(HttpApiEndpoint.get("die", "/api")))

const routes = Layer.mergeAll(
  HttpRouter.add("GET", "/dies", Effect.die(new Error("the disk is gone"))),
  HttpRouter.add("GET", "/answers", Effect.die(HttpServerResponse.text("no", { status: 418 }))),
  HttpRouter.add("GET", "/refuses", Effect.die(new TooLarge())),
  HttpApiBuilder.layer(Api).pipe(
    Layer.provide(
      HttpApiBuilder.group(Api, "group", (handlers) =>
        Effect.succeed(handlers.handle("die", () => Effect.die(new Error("the disk is gone"))))
      )
    )
  )
)

/** The response to a request, and its log records. */
const request = Effect.fnUntraced(function* (path: string) {
  const logs: Array<LogRecord> = []
  const server = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layerTest),
    Layer.provide(Defects.layer)
  )
  const { status } = yield* HttpClient.get(path).pipe(
    Effect.tap(({ text }) => text),
    Effect.provide(server),
    collectLogs(logs)
  )
  return { status, logs: logs.map(({ level, message }) => `${level} ${message}`) }
})

describe("Defects", () => {
  it.effect("are logged once, and become a response with 500", () =>
    Effect.gen(function* () {
      for (const path of ["/dies", "/api"]) {
        assert.deepStrictEqual(yield* request(path), { status: 500, logs: ["Error request died"] })
      }
    })
  )

  it.effect("are not logged when they are responses", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* request("/answers"), { status: 418, logs: [] })
      assert.deepStrictEqual(yield* request("/refuses"), { status: 413, logs: [] })
      assert.deepStrictEqual(yield* request("/nowhere"), { status: 404, logs: [] })
    })
  )
})
