/**
 * `PushContextState`: an agent sends a snapshot of its context, after its start and when it has changed.
 *
 * - A snapshot replaces the stored one if it is newer, or is the first of a run of the agent. Otherwise nothing is
 *   written, and the agent is told that the snapshot was not accepted.
 * - A snapshot beyond the limits of {@link AgentContext} fails. The agent then pauses before the next one.
 * - The call is not served if snapshots are switched off. An agent then sends none until it connects again.
 */
import { Context, Effect, Schema } from "effect"
import { Rpc } from "effect/rpc"
import * as AgentContext from "../../domain/AgentContext.ts"
import { NotServed, unavailable, Unavailable } from "../AgentError.ts"
import { AgentContextStore } from "../ports/AgentContextStore.ts"
import { AgentSession } from "../session/AgentSession.ts"

/** Whether agents may send snapshots. */
export const IsEnabled = Context.Reference<boolean>("metadata-batcher/agentapi/calls/ContextState/IsEnabled", {
  defaultValue: () => true
})

export const PushContextStateRequest = Schema.Struct({
  ...AgentContext.Snapshot.fields,
  initial: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false)))
})
export type PushContextStateRequest = typeof PushContextStateRequest.Type

export const PushContextState = Rpc.make("PushContextState", {
  payload: PushContextStateRequest,
  success: Schema.Struct({ accepted: Schema.Boolean }),
  error: Schema.Union([NotServed, Unavailable])
})

export const make = Effect.gen(function* () {
  const store = yield* AgentContextStore
  const isEnabled = yield* IsEnabled

  const pushContextState = Effect.fnUntraced(
    function* ({ initial, ...snapshot }: PushContextStateRequest) {
      if (!isEnabled) return yield* new NotServed({ message: "the service takes no context of agents" })
      const { identity, receiptTime } = yield* AgentSession
      const accepted = yield* store.replace(
        identity.agentId,
        { ...snapshot, received_at: yield* receiptTime.now },
        { initial }
      )
      return { accepted }
    },
    Effect.catchTag("StoreError", unavailable)
  )

  return { PushContextState: pushContextState }
})
