/**
 * `ScriptCompleted`: an agent reports how long one of its scripts ran, and how the run ended.
 *
 * - The agent provides the start and the end of the run. The end must not be before the start.
 * - The script must be one of the agent's own: runs of other scripts are not stored.
 */
import { DateTime, Effect, Schema } from "effect"
import { Rpc } from "effect/rpc"
import { ScriptId } from "../../domain/Ids.ts"
import { InvalidRequest, unavailable, Unavailable } from "../AgentError.ts"
import { AgentSession } from "../session/AgentSession.ts"
import { int32, time, upperCaseEnum, zeroTime } from "../../domain/Fields.ts"
import { ScriptStore, scriptStages, scriptStatuses } from "../ports/ScriptStore.ts"

const Stage = upperCaseEnum(...scriptStages)
const Status = upperCaseEnum(...scriptStatuses)

const Time = time.check(
  Schema.makeFilter((time) => DateTime.isGreaterThan(time, zeroTime), { expected: "a time after the zero time" })
)

const Timing = Schema.Struct({
  script_id: ScriptId,
  start: Time,
  end: Time,
  exit_code: int32,
  stage: Stage.pipe(Schema.withDecodingDefaultKey(Effect.succeed("START"))),
  status: Status.pipe(Schema.withDecodingDefaultKey(Effect.succeed("OK")))
}).check(
  Schema.makeFilter(({ end, start }) => DateTime.isLessThanOrEqualTo(start, end), {
    expected: "a start that is not after the end"
  })
)

export const ScriptCompletedRequest = Schema.Struct({ timing: Timing })
export type ScriptCompletedRequest = typeof ScriptCompletedRequest.Type

export const ScriptCompleted = Rpc.make("ScriptCompleted", {
  payload: ScriptCompletedRequest,
  success: Schema.Struct({}),
  error: Schema.Union([InvalidRequest, Unavailable])
})

export const make = Effect.gen(function* () {
  const store = yield* ScriptStore

  const scriptCompleted = Effect.fnUntraced(
    function* ({ timing }: ScriptCompletedRequest) {
      const { identity } = yield* AgentSession
      const isOwn = yield* store.addTiming(identity.agentId, {
        scriptId: timing.script_id,
        startedAt: timing.start,
        endedAt: timing.end,
        exitCode: timing.exit_code,
        stage: timing.stage,
        status: timing.status
      })
      if (isOwn) return {}
      return yield* new InvalidRequest({ field: "timing.script_id", problem: "not a script of this agent" })
    },
    Effect.catchTag("StoreError", unavailable)
  )

  return { ScriptCompleted: scriptCompleted }
})
