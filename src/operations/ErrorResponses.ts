/**
 * Gives every error response without a body the form of {@link ErrorResponse}: nothing at an address, another method, a
 * body that is too large or of another kind, a failure.
 *
 * - The body repeats nothing of the request but its method, its path and its type.
 * - An address that takes other methods gets 405 with their names.
 * - Every response is counted by its status, but those of `/readyz`: that the service is not ready is no failed request.
 */
import { type ByteSize, Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import { HttpEffect, HttpIncomingMessage, HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApi, type HttpApiGroup } from "effect/http-api"
import * as FailureMetrics from "../telemetry/FailureMetrics.ts"

interface Explanation {
  readonly message: string
  readonly detail: string
}

/** `api` is the whole HTTP API. */
export const layer = <Id extends string, Groups extends HttpApiGroup.Constraint>(api: HttpApi.HttpApi<Id, Groups>) => {
  const methodsAt = methodsOf(api)

  const explained: HttpEffect.PreResponseHandler = (request, response) => {
    const { status } = response
    // the body of a 415 is a line that names no type that would do
    if (status < 400 || (response.body._tag !== "Empty" && status !== 415)) return Effect.succeed(response)
    const methods = status === 404 ? methodsAt(pathOf(request)) : []
    if (methods.length > 0 && !methods.includes(request.method)) {
      return Effect.succeed(
        HttpServerResponse.jsonUnsafe(
          {
            _tag: "MethodNotAllowed",
            message: "Method not allowed.",
            detail: `${pathOf(request)} takes ${methods.join(", ")}, not ${request.method}`
          },
          { status: 405, headers: { ...response.headers, allow: methods.join(", ") } }
        )
      )
    }
    return Effect.map(HttpIncomingMessage.MaxBodySize, (limit) =>
      HttpServerResponse.jsonUnsafe(explain(request, status, limit), {
        status,
        headers: response.headers,
        contentType: "application/json"
      })
    )
  }

  return HttpRouter.middleware(
    HttpEffect.withPreResponseHandler((request, response) =>
      Effect.flatMap(explained(request, response), (explained) =>
        pathOf(request) === "/readyz"
          ? Effect.succeed(explained)
          : Effect.as(FailureMetrics.responded(explained.status), explained)
      )
    ),
    { global: true }
  )
}

// ----- internals -----

const pathOf = ({ url }: HttpServerRequest.HttpServerRequest): string => url.split("?")[0]!

const explain = (
  request: HttpServerRequest.HttpServerRequest,
  status: number,
  limit: ByteSize.ByteSize | undefined
): Explanation => {
  switch (status) {
    case 404:
      return {
        message: "Route not found.",
        detail: `There is nothing at ${request.method} ${pathOf(request)}: /docs/api says what there is`
      }
    case 413:
      return {
        message: "the body is too large",
        detail: limit === undefined ? "Expected a smaller body" : `Expected a body of at most ${limit} bytes`
      }
    case 415:
      return {
        message: "the body is of another type",
        detail: `Expected a body of application/json, not of ${request.headers["content-type"]}`
      }
    default:
      return status < 500
        ? { message: "the request is not valid", detail: "The request cannot be understood" }
        : { message: "an internal error occurred", detail: "The log of the service says why" }
  }
}

/** The addresses beside the API, all of which are read. */
const pages =
  /^\/(?:docs(?:\/api|\/deploy\/[\w.-]+)?|openapi\.json|metrics|healthz|readyz|assets\/dashboard-[\w-]+\.(?:js|css))?$/

/** Returns the methods that the endpoints at a path take. */
const methodsOf = <Id extends string, Groups extends HttpApiGroup.Constraint>(api: HttpApi.HttpApi<Id, Groups>) => {
  const endpoints: Array<{ readonly method: string; readonly parameters: number; readonly pattern: RegExp }> = []
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint: { method, path } }) => {
      const fixed = path.split(/:\w+/)
      endpoints.push({ method, parameters: fixed.length, pattern: new RegExp(`^${fixed.join("[^/]+")}/?$`) })
    }
  })
  return (path: string): ReadonlyArray<string> => {
    if (pages.test(path)) return ["GET", "HEAD"]
    const found = endpoints.filter(({ pattern }) => pattern.test(path))
    // a fixed address has precedence over one with a parameter
    const fewest = Math.min(...found.map(({ parameters }) => parameters))
    return [...new Set(found.flatMap(({ method, parameters }) => (parameters === fewest ? [method] : [])))]
  }
}
