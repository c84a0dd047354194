/** Responses to requests that no endpoint handles. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { HttpClient, HttpClientRequest, HttpRouter } from "effect/http"
import { HttpApi } from "effect/http-api"
import * as ErrorResponses from "../../src/operations/ErrorResponses.ts"
import * as ErrorResponse from "../../src/platform/ErrorResponse.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as WebSocket from "../support/webSocket.ts"

/** The rejection of a request. */
const refusal = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
  const response = yield* HttpClient.execute(request)
  assert.strictEqual(response.headers["content-type"], "application/json")
  const body = (yield* response.json) as Readonly<Record<string, unknown>>
  const refused: Readonly<Record<string, unknown>> = { ...body, status: response.status }
  return refused
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
  it.effect("gets a response that does not say why", () =>
    Effect.gen(function* () {
      const routes = Layer.merge(
        HttpRouter.add("GET", "/", Effect.die("a secret")),
        ErrorResponses.layer(HttpApi.make("none"))
      )
      const { dispose, handler } = HttpRouter.toWebHandler(routes, { disableLogger: true })
      yield* Effect.addFinalizer(() => Effect.promise(dispose))

      const response = yield* Effect.promise(() => handler(new Request("http://localhost/")))

      assert.deepStrictEqual(yield* Effect.promise(() => response.json()), {
        message: "an internal error occurred",
        detail: "The log of the service says why"
      })
    })
  )
})

layer(Service.layer, { excludeTestServices: true })("a rejection of the service itself", (it) => {
  it.effect("says that there is nothing at an address, with its method and without its query", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* refusal(HttpClientRequest.get("/api/v2/none?coder_session_token=a-secret")), {
        status: 404,
        message: "Route not found.",
        detail: "There is nothing at GET /api/v2/none: /docs/api says what there is"
      })
    })
  )

  it.effect("names the methods that an address takes [HT-13]", () =>
    Effect.gen(function* () {
      const id = "6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10"
      for (const [request, allowed] of [
        [HttpClientRequest.delete("/api/v2/users?coder_session_token=a-secret"), "GET, POST"],
        [HttpClientRequest.post(`/api/v2/workspaceagents/${id}/logs`), "GET"],
        [HttpClientRequest.put("/api/v2/workspaceagents/me/metadata"), "POST"],
        [HttpClientRequest.post("/api/v2/workspaceagents/me/rpc"), "GET"]
      ] as const) {
        const response = yield* HttpClient.execute(request)
        assert.deepStrictEqual([response.status, response.headers["allow"]], [405, allowed])
        const path = request.url.split("?")[0]!
        assert.deepStrictEqual(yield* response.json, {
          _tag: "MethodNotAllowed",
          message: "Method not allowed.",
          detail: `${path} takes ${allowed}, not ${request.method}`
        })
      }
    })
  )

  it.effect("names them at every address, of the API and of pages [HT-13, LF-20]", () =>
    Effect.gen(function* () {
      const document = (yield* (yield* HttpClient.get("/openapi.json")).json) as {
        readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
      }
      const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const
      const ofApi = Object.entries(document.paths).map(
        ([path, taken]) =>
          [path, methods.filter((method) => method.toLowerCase() in taken) as ReadonlyArray<string>] as const
      )
      const pages = [
        "/",
        "/docs",
        "/docs/api",
        "/docs/deploy/nginx.conf",
        "/openapi.json",
        "/metrics",
        "/healthz",
        "/readyz"
      ]
      assert.isAbove(ofApi.length, 20)
      for (const [path, taken] of [
        ...ofApi,
        ...pages.map((page) => [page, ["GET", "HEAD"] as ReadonlyArray<string>] as const)
      ]) {
        const address = path.replaceAll(/\{\w+\}/g, "6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
        // such as that of an agent whose id is in the place of "me"
        const isOfAnother = (method: string) =>
          ofApi.some(
            ([path, taken]) =>
              taken.includes(method) && new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(address)
          )
        for (const method of methods.filter((method) => !taken.includes(method) && !isOfAnother(method))) {
          const { headers, status } = yield* HttpClient.execute(HttpClientRequest.make(method)(address))
          assert.deepStrictEqual(
            [status, headers["allow"]?.split(", ").sort()],
            [405, [...taken].sort()],
            `${method} ${path}`
          )
        }
      }
    })
  )

  it.effect("has one form at every address of the API: a message, and the invalid fields [HT-12]", () =>
    Effect.gen(function* () {
      const { id, owner, token } = yield* People.agent()
      const admin = yield* People.user({ isAdmin: true })
      const decodeRefusal = Schema.decodeUnknownEffect(
        Schema.Struct({ ...ErrorResponse.fields, _tag: Schema.optionalKey(Schema.String) }),
        { onExcessProperty: "error" }
      )
      const user = People.showing(owner.token)
      const agent = People.showing(token)
      const get = (path: string, headers: Readonly<Record<string, string>> = user) =>
        HttpClientRequest.setHeaders(HttpClientRequest.get(path), headers)
      const send = (
        method: "PATCH" | "POST" | "PUT",
        path: string,
        headers: Readonly<Record<string, string>>,
        body: string
      ) =>
        HttpClientRequest.make(method)(path).pipe(
          HttpClientRequest.setHeaders(headers),
          HttpClientRequest.bodyText(body, "application/json")
        )
      const me = "/api/v2/workspaceagents/me"
      for (const [request, status, field] of [
        [get("/api/v2/workspaceagents/x"), 400, "agent"],
        [get("/api/v2/workspaceagents/x/metadata"), 400, "agent"],
        [get("/api/v2/workspaceagents/x/context"), 400, "agent"],
        [get("/api/v2/workspaceagents/x/watch-metadata"), 400, "agent"],
        [get("/api/v2/workspaceagents/x/watch-metadata-ws"), 400, "agent"],
        [get("/api/v2/workspaceagents/x/coordinate"), 400, "agent"],
        [get(`/api/v2/workspaceagents/${id}/logs?after=x`), 400, "after"],
        [get(`/api/v2/workspaceagents/${id}/logs?follow&format=text`), 400, "format"],
        [get(`/api/v2/workspaceagents/${id}/context`), 404, undefined],
        [get("/api/v2/dashboard/agents?limit=0.5"), 400, "limit"],
        [get("/api/v2/dashboard/agents/x"), 400, "agent"],
        [get("/api/v2/users", {}), 401, undefined],
        [get("/api/v2/users"), 403, undefined],
        [get(`${me}/rpc?version=9.0`, agent), 400, "version"],
        [get(`${me}/rpc`, agent), 426, undefined],
        [get(`${me}/reinit`, agent), 409, undefined],
        [send("POST", `${me}/metadata`, agent, "{"), 400, undefined],
        [send("PATCH", `${me}/logs`, agent, "{}"), 400, "logs"],
        [send("POST", "/api/v2/users", People.showing(admin.token), "{}"), 400, "username"],
        [send("POST", "/api/v2/users", People.showing(admin.token), "{"), 400, "payload"]
      ] as const) {
        const response = yield* HttpClient.execute(request)
        const { validations } = yield* Effect.flatMap(response.json, decodeRefusal)
        const about = request.url
        assert.strictEqual(response.status, status, about)
        assert.match(String(response.headers["content-type"]), /^application\/json/, about)
        assert.strictEqual(validations?.[0]?.field, field, about)
      }
    })
  )

  it.effect("responds so before any upgrade, too", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService

      const { body, status } = yield* Effect.flip(WebSocket.connect(`${url}/api/v2/rpc`))

      assert.deepStrictEqual([status, JSON.parse(body).message], [404, "Route not found."])
    })
  )

  it.effect("names the limit of a body", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* refusal(yield* post(" ".repeat(16 * 1_024 * 1_024 + 1), "application/json")), {
        status: 413,
        message: "the body is too large",
        detail: "Expected a body of at most 16777216 bytes"
      })
    })
  )

  it.effect("names the type that a body must have", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* refusal(yield* post("ada", "text/plain")), {
        status: 415,
        message: "the body is of another type",
        detail: "Expected a body of application/json, not of text/plain"
      })
    })
  )

  it.effect("leaves the responses of endpoints alone", () =>
    Effect.gen(function* () {
      const { status, text } = yield* HttpClient.get("/api/v2/users")

      assert.deepStrictEqual([status, JSON.parse(yield* text)._tag], [401, "Unauthenticated"])
    })
  )
})
