/**
 * The form of every error response of the HTTP API, as the programs of the original read it: `{message, detail?,
 * validations?}`. A `_tag` beside them names the error.
 */
import { Effect, Schema } from "effect"
import { HttpApiMiddleware } from "effect/http-api"
import { problemsOf } from "../domain/FieldProblem.ts"

/** The fields of an error response. `validations` names the invalid fields and their problems. */
export const fields = {
  message: Schema.String,
  /** More about the error. */
  detail: Schema.optionalKey(Schema.String),
  /** The invalid fields and their problems. */
  validations: Schema.optionalKey(Schema.Array(Schema.Struct({ field: Schema.String, detail: Schema.String })))
}

/** An error response. */
export type ErrorResponse = Schema.Struct.Type<typeof fields>

/** A parameter or the body of the request is invalid. */
export class BadRequest extends Schema.TaggedError<BadRequest>()("BadRequest", fields, { httpApiStatus: 400 }) {}

/** Returns the error for one invalid field. */
export const badRequest = (field: string, detail: string): BadRequest =>
  new BadRequest({ message, validations: [{ field, detail }] })

/** Responds to an invalid request of an API with {@link BadRequest}. */
export class RequestValidation extends HttpApiMiddleware.Service<RequestValidation>()(
  "metadata-batcher/platform/ErrorResponse/RequestValidation",
  { error: BadRequest }
) {}

export const layerRequestValidation = HttpApiMiddleware.layerSchemaErrorTransform(RequestValidation, (error) =>
  Effect.fail(
    error.kind === "Body" || error.kind === "ResponseHeaders"
      ? // the response is invalid, which is a fault of the service
        error
      : new BadRequest({
          message,
          validations: problemsOf(error.cause.issue)
            .slice(0, maxValidations)
            .map(({ field, problem }) => ({ field: field === "" ? error.kind.toLowerCase() : field, detail: problem }))
        })
  )
)

// ----- internals -----

const message = "the request is not valid"

/** The most invalid fields that a response names. */
const maxValidations = 100
