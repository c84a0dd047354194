/** The errors of the routes of agents over plain HTTP, and the reading of their bodies. */
import { Data, Effect, Schema } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Frames from "./frames.ts"
import type * as SessionCalls from "./sessionCalls.ts"

/** The error of a request, with its response. */
export class Refused extends Data.TaggedError("Refused")<{
  readonly status: number
  readonly message: string
  readonly detail?: string
  readonly validations?: ReadonlyArray<{ readonly field: string; readonly detail: string }>
}> {
  get response() {
    const { detail, message, status, validations } = this
    // fields that are undefined are left out of JSON
    return HttpServerResponse.jsonUnsafe({ _tag: "Refused", message, detail, validations }, { status })
  }
}

export const invalid = (field: string, detail: string) =>
  new Refused({ status: 400, message: "the request is not valid", validations: [{ field, detail }] })

export const unavailable = () => new Refused({ status: 503, message: "agents cannot be served now" })

/** Returns the decoded body of the request. */
export const body = <A>(schema: Schema.Codec<A, unknown>) => bodyAs(() => schema)

/** Returns the body of the request, decoded by the schema that it asks for. */
export const bodyAs = Effect.fnUntraced(function* <A>(schemaOf: (json: unknown) => Schema.Codec<A, unknown>) {
  const request = yield* HttpServerRequest.HttpServerRequest
  const json = yield* Effect.mapError(
    request.json,
    () => new Refused({ status: 400, message: "the body must be JSON, and not too large" })
  )
  return yield* Effect.mapError(Schema.decodeUnknownEffect(schemaOf(json))(json), ({ issue }) =>
    refusalOf(Frames.toInvalidRequest(issue))
  )
})

/** Returns the error response of a failed call. */
export const refusalOf = (error: SessionCalls.CallError): Refused => {
  switch (error._tag) {
    case "InvalidRequest":
      return invalid(error.field, error.problem)
    case "Unavailable":
      return unavailable()
    default:
      return new Refused({ status: 400, message: error.message })
  }
}
