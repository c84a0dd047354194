/** Runs calls of the contract in the session of their agent, whichever way they have come. */
import { Cause, Context, Effect, Option, Predicate, References, Schema } from "effect"
import { Headers } from "effect/http"
import { Rpc, type RpcGroup, RpcMessage, RpcSerialization } from "effect/rpc"
import * as FailureMetrics from "../../telemetry/FailureMetrics.ts"
import { AgentApi } from "../AgentApi.ts"
import type { InvalidRequest } from "../AgentError.ts"
import { AgentSession } from "../session/AgentSession.ts"
import * as Frames from "./frames.ts"

/** A call of the contract. */
export type AgentCall = RpcGroup.Rpcs<typeof AgentApi>

export type Tag = AgentCall["_tag"]

/** The errors of all calls. */
export type CallError = InvalidRequest | Rpc.Error<AgentCall>

/** Provides a call with a session and its log annotations, and counts the call if it fails. */
export const inSession = <A, E, R>(
  tag: string,
  session: AgentSession["Service"],
  call: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, AgentSession>> =>
  Effect.onError(Effect.provideContext(call, contextOf(session)), countFailure(tag))

/** Counts a call that failed; an interrupted call did not. */
export const countFailure =
  (tag: string) =>
  (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.void
      : FailureMetrics.callFailed(tag, Option.match(Cause.findErrorOption(cause), reasonOf))

/**
 * Returns the handler of a call that does not come over `effect/rpc`. The handler accepts the same payloads as the
 * contract, and fails with {@link InvalidRequest} for any other payload.
 */
export function handlerOf<const T extends Tag>(
  tag: T
): Effect.Effect<
  (
    session: AgentSession["Service"],
    payload: unknown
  ) => Effect.Effect<Rpc.Success<Rpc.ExtractTag<AgentCall, T>>, CallError>,
  never,
  Rpc.Handler<T>
>
// the types of `effect/rpc` allow handlers that return a `Deferred`: this contract has none
export function handlerOf(tag: Tag) {
  const decode = Schema.decodeUnknownEffect(RpcSerialization.json.codecFor(AgentApi.requests.get(tag)!.payloadSchema))
  return Effect.map(
    AgentApi.accessHandler(tag),
    (handler) => (session: AgentSession["Service"], payload: unknown) =>
      inSession(
        tag,
        session,
        decode(payload).pipe(
          Effect.mapError(({ issue }) => Frames.toInvalidRequest(issue)),
          // `effect/rpc` writes into the options
          Effect.flatMap((request): Effect.Effect<unknown, CallError> =>
            handler(request, { client, requestId, headers: Headers.empty })
          )
        )
      )
  )
}

// ----- internals -----

const client = new Rpc.ServerClient(-1)
const requestId = RpcMessage.RequestId(0)

const contexts = new WeakMap<AgentSession["Service"], Context.Context<AgentSession>>()

/** Returns the session with the annotations of its log records, made once per connection. */
const contextOf = (session: AgentSession["Service"]): Context.Context<AgentSession> => {
  const known = contexts.get(session)
  if (known !== undefined) return known
  const { agentId, workspace } = session.identity
  const made = Context.make(AgentSession, session).pipe(
    Context.add(References.CurrentLogAnnotations, { agentId, workspaceId: workspace.id })
  )
  contexts.set(session, made)
  return made
}

const reasonOf = {
  onNone: () => "defect",
  onSome: (error: unknown) => (Predicate.hasProperty(error, "_tag") ? String(error._tag) : "error")
}
