/** The WebSocket of an agent's request, whichever protocol it carries. */
import { Context, Effect, Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import * as RequestBytes from "../../platform/RequestBytes.ts"
import { paced } from "../../platform/RequestSocket.ts"

const withScopeAlone = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> =>
  Effect.updateContext(effect, (context: Context.Context<Scope.Scope>) =>
    Context.make(Scope.Scope, Context.get(context, Scope.Scope))
  )

/**
 * Opens the WebSocket of a request, which returns one frame at a time. A WebSocket keeps the context in which it is
 * opened, so that context holds nothing but the scope.
 */
export const open = (request: HttpServerRequest.HttpServerRequest, ready: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const socket = paced(yield* Effect.orDie(request.upgrade), ready)
    const { write } = yield* socket.writer
    const { pull } = yield* socket.reader
    return { pull, write }
  }).pipe(withScopeAlone)

/** Opens the WebSocket of a request as a stream of bytes. */
export const openBytes = (request: HttpServerRequest.HttpServerRequest, readiness: RequestBytes.Readiness) =>
  withScopeAlone(RequestBytes.open(request, readiness))
