/**
 * `BatchUpdateMetadata`: an agent reports samples of its keys.
 *
 * - Every entry gets the time of receipt and is trimmed and cut by the rules of {@link MetadataReport}.
 * - What is accepted goes to the batcher, for the agent of the session. No query is made.
 * - A report whose keys are too large is accepted up to the limit, and then answered with an error.
 * - Logs name keys and sizes, never values.
 */
import { DateTime, Effect, LogLevel, Schema } from "effect"
import { Rpc } from "effect/rpc"
import * as MetadataBatcher from "../../metadata/MetadataBatcher.ts"
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataEntry } from "../../domain/Metadata.ts"
import * as MetadataReport from "../../domain/MetadataReport.ts"
import * as Utf8 from "../../domain/Utf8.ts"
import { AgentSession } from "../session/AgentSession.ts"

// this is what is read most often by far: defaults that a schema fills in would cost twenty times as much as reading it
const Text = Schema.optionalKey(Schema.String)

/** One sample. The service times it by its own clock: `collected_at` and `age` are taken and not looked at. */
const MetadataResult = Schema.Struct({
  collected_at: Schema.optionalKey(Schema.String),
  age: Schema.optionalKey(Schema.Finite),
  value: Text,
  error: Text
})

export const BatchUpdateMetadataRequest = Schema.Struct({
  metadata: Schema.optionalKey(Schema.Array(Schema.Struct({ key: Text, result: Schema.optionalKey(MetadataResult) })))
})
export type BatchUpdateMetadataRequest = typeof BatchUpdateMetadataRequest.Type

/** The keys of a report are larger than one may be in all. The entries before the limit were accepted. */
export class MetadataKeysTooLong extends Schema.TaggedError<MetadataKeysTooLong>()("MetadataKeysTooLong", {
  /** The sum of key sizes at which reading stopped, in bytes. */
  keyBytes: Schema.Int,
  /** The largest sum, in bytes. */
  limit: Schema.Int
}) {
  override get message() {
    return `metadata: the keys of one report have ${this.keyBytes} bytes and more, over the limit of ${this.limit} bytes`
  }
}

export const BatchUpdateMetadata = Rpc.make("BatchUpdateMetadata", {
  payload: BatchUpdateMetadataRequest,
  success: Schema.Struct({}),
  error: MetadataKeysTooLong
})

export const make = Effect.gen(function* () {
  const batcher = yield* MetadataBatcher.MetadataBatcher

  /** Takes the report of an agent. */
  const report = (agentId: AgentId, request: BatchUpdateMetadataRequest): Effect.Effect<{}, MetadataKeysTooLong> =>
    Effect.flatMap(DateTime.now, (receivedAt) => {
      const { entries, keyBytes } = MetadataReport.accept(samplesOf(request), receivedAt)
      const taken = Effect.andThen(
        batcher.add(agentId, entries),
        keyBytes <= MetadataReport.maxKeyBytes ? succeeded : tooLong(agentId, keyBytes)
      )
      return Effect.flatMap(LogLevel.isEnabled("Debug"), (isEnabled) =>
        isEnabled
          ? Effect.andThen(
              Effect.annotateLogs(Effect.logDebug("metadata reported", sizes(entries)), { agentId }),
              taken
            )
          : taken
      )
    })

  return {
    report,
    BatchUpdateMetadata: (request: BatchUpdateMetadataRequest) =>
      AgentSession.use(({ identity }) => report(identity.agentId, request))
  }
})

const succeeded = Effect.succeed({})

const tooLong = (agentId: AgentId, keyBytes: number) => {
  const error = new MetadataKeysTooLong({ keyBytes, limit: MetadataReport.maxKeyBytes })
  return Effect.andThen(Effect.annotateLogs(Effect.logWarning(error.message), { agentId }), error)
}

/** What an agent leaves out is empty. */
export const samplesOf = ({
  metadata = []
}: BatchUpdateMetadataRequest): ReadonlyArray<MetadataReport.ReportedSample> =>
  metadata.map(({ key = "", result: { error = "", value = "" } = {} }) => ({ key, value, error }))

const sizes = (entries: ReadonlyArray<MetadataEntry>) =>
  entries.map(({ error, key, value }) => ({
    key,
    valueBytes: Utf8.byteLength(value),
    errorBytes: Utf8.byteLength(error)
  }))
