/**
 * `BatchUpdateMetadata`: an agent reports samples of its keys.
 *
 * - Every entry gets the time of receipt, and is trimmed and cut by the rules of {@link MetadataReport}.
 * - The entries are added to the batcher for the agent of the session. No query is made. The result has the number of those
 *   that the batcher dropped, if it dropped any; the original's protocol has no field for it.
 * - A key that the agent has not declared is dropped and counted. A report of such keys alone succeeds.
 * - A report whose keys are too large is accepted up to the limit, and then fails with an error.
 * - Logs name keys and sizes, never values.
 */
import { Effect, LogLevel, Schema } from "effect"
import { Rpc } from "effect/rpc"
import * as MetadataBatcher from "../../metadata/MetadataBatcher.ts"
import type { AgentId } from "../../domain/Ids.ts"
import type { MetadataEntry } from "../../domain/Metadata.ts"
import * as MetadataReport from "../../domain/MetadataReport.ts"
import * as Utf8 from "../../domain/Utf8.ts"
import { undeclaredKeys } from "../AgentMetrics.ts"
import { AgentSession } from "../session/AgentSession.ts"

// reports are decoded more often than anything else: defaults in the schema would take twenty times as long
const Text = Schema.optionalKey(Schema.String)

/** One sample. The service uses its own clock: `collected_at` and `age` are accepted and ignored. */
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

/** The keys of a report exceed the limit in all. The entries before the limit were accepted. */
export class MetadataKeysTooLong extends Schema.TaggedError<MetadataKeysTooLong>()("MetadataKeysTooLong", {
  /** The sum of key sizes at which the reading stopped, in bytes. */
  keyBytes: Schema.Int,
  /** The largest sum, in bytes. */
  limit: Schema.Int
}) {
  override get message() {
    return `metadata: the keys of one report must have at most ${this.limit} bytes in all (got ${this.keyBytes} or more)`
  }
}

export const BatchUpdateMetadata = Rpc.make("BatchUpdateMetadata", {
  payload: BatchUpdateMetadataRequest,
  success: Schema.Struct({
    /** Entries that found no room: to be reported again. Absent if there are none. */
    dropped: Schema.optionalKey(Schema.Int)
  }),
  error: MetadataKeysTooLong
})

export const make = Effect.gen(function* () {
  const batcher = yield* MetadataBatcher.MetadataBatcher

  const context = yield* Effect.context<never>()
  const isDebug = yield* LogLevel.isEnabled("Debug")

  const add = (agentId: AgentId, { entries, undeclared }: MetadataReport.AcceptedReport) => {
    if (undeclared > 0) undeclaredKeys.updateUnsafe(undeclared, context)
    const added = batcher.add(agentId, entries)
    return isDebug
      ? Effect.tap(added, Effect.annotateLogs(Effect.logDebug("metadata reported", sizes(entries)), { agentId }))
      : added
  }

  return {
    /**
     * Adds a valid report and returns how many of its entries were dropped. Returns -1, and adds nothing, when the keys of the
     * report are too large.
     */
    addValid: (session: AgentSession["Service"], request: BatchUpdateMetadataRequest): Effect.Effect<number> =>
      Effect.flatMap(session.receiptTime.now, (receivedAt) => {
        const report = MetadataReport.accept(samplesOf(request), receivedAt, session.declaredKeys)
        return report.keyBytes > MetadataReport.maxKeyBytes ? notAdded : add(session.identity.agentId, report)
      }),

    BatchUpdateMetadata: Effect.fnUntraced(function* (request: BatchUpdateMetadataRequest) {
      const { declaredKeys, identity, receiptTime } = yield* AgentSession
      const report = MetadataReport.accept(samplesOf(request), yield* receiptTime.now, declaredKeys)
      const dropped = yield* add(identity.agentId, report)
      if (report.keyBytes > MetadataReport.maxKeyBytes) return yield* tooLong(identity.agentId, report.keyBytes)
      return resultOf(dropped)
    })
  }
})

/** The result of a report of which so many entries were dropped. */
export const resultOf = (dropped: number): typeof BatchUpdateMetadata.successSchema.Type =>
  dropped === 0 ? {} : { dropped }

const notAdded = Effect.succeed(-1)

const tooLong = (agentId: AgentId, keyBytes: number) => {
  const error = new MetadataKeysTooLong({ keyBytes, limit: MetadataReport.maxKeyBytes })
  return Effect.andThen(Effect.annotateLogs(Effect.logWarning(error.message), { agentId }), error)
}

/** The samples of a report; a field that the agent left out is empty. */
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
