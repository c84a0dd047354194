/**
 * Logs each defect of a request or a call once.
 *
 * The caller gets a response in any case. A mistake of the caller is no defect and is not logged here.
 */
import { Cause, Effect, ErrorReporter, type Layer } from "effect"
import { HttpServerRespondable, HttpServerResponse } from "effect/http"

export const layer: Layer.Layer<never> = ErrorReporter.layer([
  ErrorReporter.make(({ cause, fiber }) => {
    const defects = Cause.fromReasons(
      cause.reasons.filter((reason) => Cause.isDieReason(reason) && !isAnswer(reason.defect))
    )
    if (defects.reasons.length > 0) Effect.runForkWith(fiber.context)(Effect.logError("request died", defects))
  })
])

/** A handler may die with a response, which is then sent. */
const isAnswer = (defect: unknown) =>
  HttpServerResponse.isHttpServerResponse(defect) || HttpServerRespondable.isRespondable(defect)
