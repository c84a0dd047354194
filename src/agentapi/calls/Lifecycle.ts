/**
 * `UpdateLifecycle` and `UpdateStartup`: an agent reports its lifecycle state, its version and its subsystems.
 *
 * - A state sets, clears or keeps the times at which the agent started and became ready, in one write.
 * - A change without a time, or with the zero time, happens now. The call returns the time of the change.
 * - A change is announced after it is written. The call fails if the announcement fails.
 * - When the last agent of a build has ended its startup, the time since the build was created is measured: once per
 *   build, regardless of later reports and of the replica that receives them. A measurement that fails is a warning.
 * - The version of an agent is a semantic version with the prefix `v`.
 * - Subsystems are stored sorted and without duplicates.
 */
import { DateTime, Duration, Effect, Metric, Option, Schema } from "effect"
import { Rpc } from "effect/rpc"
import * as AgentLifecycle from "../../domain/AgentLifecycle.ts"
import type { BuildId } from "../../domain/Ids.ts"
import { cutText } from "../../domain/PostgresText.ts"
import { unavailable, Unavailable } from "../AgentError.ts"
import { buildDuration } from "../AgentMetrics.ts"
import { AgentSession } from "../session/AgentSession.ts"
import * as ApiVersion from "../ApiVersion.ts"
import { list, time, upperCaseEnum, zeroTime } from "../../domain/Fields.ts"
import * as SessionEvents from "../session/SessionEvents.ts"
import { type LifecycleChange, type StartedBuild, LifecycleStore } from "../ports/LifecycleStore.ts"

const State = upperCaseEnum(...AgentLifecycle.states)
type State = AgentLifecycle.State

export const UpdateLifecycleRequest = Schema.Struct({
  lifecycle: Schema.Struct({ state: State, changed_at: Schema.optionalKey(time) })
})
export type UpdateLifecycleRequest = typeof UpdateLifecycleRequest.Type

export const UpdateLifecycle = Rpc.make("UpdateLifecycle", {
  payload: UpdateLifecycleRequest,
  success: Schema.Struct({ state: State, changed_at: time }),
  error: Unavailable
})

// the versions of golang.org/x/mod/semver, which accepts v1 and v1.2
const version =
  /^v(0|[1-9]\d*)(\.(0|[1-9]\d*)(\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-z-][\da-z-]*)(\.(0|[1-9]\d*|\d*[a-z-][\da-z-]*))*)?(\+[\da-z-]+(\.[\da-z-]+)*)?)?)?$/i

/** The longest directory, in characters: that of a path of Linux. */
const maxDirectory = 4_096

const StartupFields = Schema.Struct({
  version: Schema.String.check(
    Schema.isMaxLength(255, { expected: "a version of at most 255 characters" }),
    Schema.isPattern(version, { expected: "a semantic version that begins with v, as v2.31.0" })
  ),
  expanded_directory: cutText(maxDirectory),
  subsystems: list(upperCaseEnum("envbox", "envbuilder", "exectrace"))
})

export const UpdateStartupRequest = Schema.Struct({ startup: StartupFields })
export type UpdateStartupRequest = typeof UpdateStartupRequest.Type

export const UpdateStartup = Rpc.make("UpdateStartup", {
  payload: UpdateStartupRequest,
  success: StartupFields,
  error: Unavailable
})

export const make = Effect.gen(function* () {
  const store = yield* LifecycleStore
  const publish = yield* SessionEvents.makeOrWarn

  const measureBuild = Effect.fnUntraced(
    function* (buildId: BuildId) {
      const build = yield* store.completeStartup(buildId)
      if (Option.isSome(build)) yield* observe(build.value)
    },
    Effect.catch((error) => Effect.logWarning("how long a build took cannot be measured", error))
  )

  const updateLifecycle = Effect.fnUntraced(
    function* ({ lifecycle: { changed_at, state } }: UpdateLifecycleRequest) {
      const { identity, receiptTime } = yield* AgentSession
      const changedAt = changed_at === undefined || isZero(changed_at) ? yield* receiptTime.now : changed_at
      yield* store.change(identity.agentId, { state, changedAt, ...consequences(state) })
      yield* publish("agt_lifecycle_update")
      if (endsStartup(state)) yield* measureBuild(identity.buildId)
      return { state, changed_at: changedAt }
    },
    Effect.catchTag("StoreError", unavailable)
  )

  const updateStartup = Effect.fnUntraced(
    function* ({ startup }: UpdateStartupRequest) {
      const { apiVersion, identity } = yield* AgentSession
      yield* store.introduce(identity.agentId, {
        version: startup.version,
        apiVersion: ApiVersion.format(apiVersion),
        expandedDirectory: startup.expanded_directory,
        subsystems: [...new Set(startup.subsystems)].sort()
      })
      return startup
    },
    Effect.catchTag("StoreError", unavailable)
  )

  return { UpdateLifecycle: updateLifecycle, UpdateStartup: updateStartup }
})

const isZero = (time: DateTime.Utc) => DateTime.Equivalence(time, zeroTime)

/** Whether a state ends the startup, successfully or not. */
const endsStartup = (state: State): boolean => state === "ready" || state === "start_timeout" || state === "start_error"

/** The changes that a state makes to the times of start and readiness. */
const consequences = (state: State): Pick<LifecycleChange, "startedAt" | "readyAt"> => {
  if (state === "starting") return { startedAt: "set", readyAt: "clear" }
  if (endsStartup(state)) return { startedAt: "set if missing", readyAt: "set" }
  return { startedAt: "keep", readyAt: "keep" }
}

const observe = (build: StartedBuild) => {
  const { createdAt, readyAt } = build
  // the clocks of agents may differ from that of the service
  if (isZero(createdAt) || isZero(readyAt) || DateTime.isLessThan(readyAt, createdAt)) {
    return Effect.logWarning("a build has no times that it can be measured by", {
      createdAt: DateTime.formatIso(createdAt),
      readyAt: DateTime.formatIso(readyAt)
    })
  }
  const metric = Metric.withAttributes(buildDuration, {
    template_name: build.templateName,
    organization_name: build.organizationName,
    transition: build.transition,
    status: build.status,
    is_prebuild: String(build.isPrebuild)
  })
  return Metric.update(metric, Duration.toSeconds(DateTime.distance(createdAt, readyAt)))
}
