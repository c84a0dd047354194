/**
 * `GetResourcesMonitoringConfiguration` and `PushResourcesMonitoringUsage`: an agent asks which of its resources are
 * monitored, and reports the usage of its memory and its volumes.
 *
 * - Neither call makes a query for the configuration: it was loaded when the agent connected.
 * - A report is passed to the monitors of the session. If a part of it cannot be written, the call fails with an error
 *   that names the part; the other part is still recorded.
 */
import { Duration, Effect, Schema } from "effect"
import { Rpc } from "effect/rpc"
import { OptionalText } from "../../domain/PostgresText.ts"
import { unavailable, Unavailable } from "../AgentError.ts"
import { AgentSession } from "../session/AgentSession.ts"
import { list } from "../../domain/Fields.ts"
import { collectionInterval, datapoints } from "../session/ResourceMonitors.ts"

export const GetResourcesMonitoringConfiguration = Rpc.make("GetResourcesMonitoringConfiguration", {
  payload: Schema.Struct({}),
  success: Schema.Struct({
    config: Schema.Struct({ num_datapoints: Schema.Int, collection_interval_seconds: Schema.Int }),
    /** Absent if memory is not monitored. */
    memory: Schema.optionalKey(Schema.Struct({ enabled: Schema.Boolean })),
    volumes: Schema.Array(Schema.Struct({ enabled: Schema.Boolean, path: Schema.String }))
  })
})

const Bytes = Schema.Int.pipe(
  Schema.check(Schema.isGreaterThanOrEqualTo(0, { expected: "a number of bytes, not below zero" })),
  Schema.withDecodingDefaultTypeKey(Effect.succeed(0))
)

const Usage = { used: Bytes, total: Bytes }

export const PushResourcesMonitoringUsageRequest = Schema.Struct({
  /** The oldest first. */
  datapoints: list(
    Schema.Struct({
      collected_at: Schema.optionalKey(Schema.DateTimeUtcFromString),
      memory: Schema.optionalKey(Schema.Struct(Usage)),
      volumes: list(Schema.Struct({ volume: OptionalText, ...Usage }))
    })
  )
})
export type PushResourcesMonitoringUsageRequest = typeof PushResourcesMonitoringUsageRequest.Type

export const PushResourcesMonitoringUsage = Rpc.make("PushResourcesMonitoringUsage", {
  payload: PushResourcesMonitoringUsageRequest,
  success: Schema.Struct({}),
  error: Unavailable
})

const configuration = Effect.fnUntraced(function* () {
  const { monitors } = yield* AgentSession
  const { memory, volumes } = yield* monitors.configuration
  return {
    config: {
      num_datapoints: datapoints,
      collection_interval_seconds: Duration.toSeconds(collectionInterval)
    },
    ...(memory === null ? {} : { memory: { enabled: memory.enabled } }),
    volumes: volumes.map(({ enabled, path }) => ({ enabled, path }))
  }
})

const push = Effect.fnUntraced(function* (request: PushResourcesMonitoringUsageRequest) {
  const { monitors } = yield* AgentSession
  const failures = yield* monitors.push(request.datapoints)
  if (failures.length === 0) return {}
  const answers = yield* Effect.forEach(failures, (failure) => Effect.flip(unavailable(failure)))
  return yield* new Unavailable({ message: answers.map(({ message }) => message).join("; ") })
})

export const make = Effect.succeed({
  GetResourcesMonitoringConfiguration: configuration,
  PushResourcesMonitoringUsage: push
})
