/**
 * Logs each defect of a request or a call once.
 *
 * The caller gets a response in any case. A caller's mistake is not a defect and is not logged here.
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

/** Whether a handler died with a response, which the server then sends. */
const isAnswer = (defect: unknown) =>
  HttpServerResponse.isHttpServerResponse(defect) || HttpServerRespondable.isRespondable(defect)
