/** The WebSocket of an agent's request, whichever protocol it carries. */
import { Context, Effect, Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import { paced } from "../../platform/RequestSocket.ts"

/** The WebSocket of a request. It keeps the context that it is opened in: one that holds nothing but the scope. */
export const open = (request: HttpServerRequest.HttpServerRequest, ready: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const socket = paced(yield* Effect.orDie(request.upgrade), ready)
    const { write } = yield* socket.writer
    const { pull } = yield* socket.reader
    return { pull, write }
  }).pipe(
    Effect.updateContext((context: Context.Context<Scope.Scope>) =>
      Context.make(Scope.Scope, Context.get(context, Scope.Scope))
    )
  )
