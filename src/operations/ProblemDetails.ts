/**
 * Gives every refusal without a body a problem document (RFC 9457): nothing at an address, a body that is too large or of
 * another kind, a failure. The document holds nothing of the request but its method and its path. Every response is counted
 * by its status.
 */
import { type ByteSize, Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import { HttpEffect, HttpIncomingMessage, HttpRouter, HttpServerResponse } from "effect/http"
import * as FailureMetrics from "../telemetry/FailureMetrics.ts"
import { STATUS_CODES } from "node:http"

const explain: HttpEffect.PreResponseHandler = (request, response) =>
  Effect.andThen(FailureMetrics.responded(response.status), explained(request, response))

const explained: HttpEffect.PreResponseHandler = (request, response) => {
  const { status } = response
  // the body of a 415 is a line that names no type that would do
  if (status < 400 || (response.body._tag !== "Empty" && status !== 415)) return Effect.succeed(response)
  return Effect.map(HttpIncomingMessage.MaxBodySize, (limit) =>
    HttpServerResponse.jsonUnsafe(
      { type: "about:blank", title: STATUS_CODES[status], status, detail: detail(request, status, limit) },
      { status, headers: response.headers, contentType: "application/problem+json" }
    )
  )
}

const detail = (
  { headers, method, url }: HttpServerRequest.HttpServerRequest,
  status: number,
  limit: ByteSize.ByteSize | undefined
): string => {
  switch (status) {
    case 404:
      return `There is nothing at ${method} ${url.split("?")[0]}: /docs says what there is`
    case 413:
      return limit === undefined ? "Expected a smaller body" : `Expected a body of at most ${limit} bytes`
    case 415:
      return `Expected a body of application/json, not of ${headers["content-type"]}`
    default:
      return status < 500 ? "The request cannot be understood" : "The service failed to answer; its log says why"
  }
}

export const layer = HttpRouter.middleware(HttpEffect.withPreResponseHandler(explain), { global: true })
