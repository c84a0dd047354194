/** Responses to requests that no endpoint handles. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientRequest, HttpRouter } from "effect/http"
import * as ProblemDetails from "../../src/operations/ProblemDetails.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as WebSocket from "../support/webSocket.ts"

const problem = (status: number, title: string, detail: string) => ({ type: "about:blank", title, status, detail })

/** The rejection of a request. */
const refusal = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
  const response = yield* HttpClient.execute(request)
  assert.strictEqual(response.headers["content-type"], "application/problem+json")
  return yield* response.json
})

/** A body that an administrator posts. */
const post = Effect.fnUntraced(function* (body: string, contentType: string) {
  const { token } = yield* People.user({ isAdmin: true })
  return HttpClientRequest.post("/api/v2/users").pipe(
    HttpClientRequest.setHeaders(People.showing(token)),
    HttpClientRequest.bodyText(body, contentType)
  )
})

describe("a request that died", () => {
  it.effect("is answered, and not with why", () =>
    Effect.gen(function* () {
      const routes = Layer.merge(HttpRouter.add("GET", "/", Effect.die("a secret")), ProblemDetails.layer)
      const { dispose, handler } = HttpRouter.toWebHandler(routes, { disableLogger: true })
      yield* Effect.addFinalizer(() => Effect.promise(dispose))

      const response = yield* Effect.promise(() => handler(new Request("http://localhost/")))

      assert.deepStrictEqual(
        yield* Effect.promise(() => response.json()),
        problem(500, "Internal Server Error", "The service failed to answer; its log says why")
      )
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("a refusal of the service itself", (it) => {
  it.effect("says that there is nothing at an address, with its method and without its query", () =>
    Effect.gen(function* () {
      const nothing = (at: string) => problem(404, "Not Found", `There is nothing at ${at}: /docs says what there is`)

      assert.deepStrictEqual(
        yield* refusal(HttpClientRequest.get("/api/v2/none?coder_session_token=a-secret")),
        nothing("GET /api/v2/none")
      )
      assert.deepStrictEqual(yield* refusal(HttpClientRequest.delete("/api/v2/users")), nothing("DELETE /api/v2/users"))
    })
  )

  it.effect("says so before any upgrade, too", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService

      const { body, status } = yield* Effect.flip(WebSocket.connect(`${url}/api/v2/rpc`))

      assert.deepStrictEqual([status, JSON.parse(body).status], [404, 404])
    })
  )

  it.effect("names the limit of a body", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* refusal(yield* post(" ".repeat(16 * 1_024 * 1_024 + 1), "application/json")),
        problem(413, "Payload Too Large", "Expected a body of at most 16777216 bytes")
      )
    })
  )

  it.effect("names the type that a body must have", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* refusal(yield* post("ada", "text/plain")),
        problem(415, "Unsupported Media Type", "Expected a body of application/json, not of text/plain")
      )
    })
  )

  it.effect("leaves alone what an endpoint said", () =>
    Effect.gen(function* () {
      const { status, text } = yield* HttpClient.get("/api/v2/users")

      assert.deepStrictEqual([status, JSON.parse(yield* text)._tag], [401, "Unauthenticated"])
    })
  )
})
