/**
 * Requests and calls that die: each defect is logged once, wherever it came from.
 *
 * A caller always gets a response; a caller's own mistake is no defect and is not logged.
 */
import { Cause, Effect, ErrorReporter, type Layer } from "effect"
import { HttpServerRespondable, HttpServerResponse } from "effect/http"

export const layer: Layer.Layer<never> = ErrorReporter.layer([
  ErrorReporter.make(({ cause, fiber }) => {
    const defects = Cause.fromReasons(
      cause.reasons.filter((reason) => Cause.isDieReason(reason) && !isAnswer(reason.defect))
    )
    if (defects.reasons.length > 0) Effect.runForkWith(fiber.context)(Effect.logError("a request died", defects))
  })
])

/** Dying with an answer is a way of giving it. */
const isAnswer = (defect: unknown) =>
  HttpServerResponse.isHttpServerResponse(defect) || HttpServerRespondable.isRespondable(defect)
