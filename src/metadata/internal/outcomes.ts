/** Logs and counts what becomes of metadata. No log has a value, nor the cause of a rejection, which repeats the data. */
import { Cause, Duration, Effect, type Metric, Option } from "effect"
import type { Observer } from "../../batcher/Batcher.ts"
import type { MetadataRow } from "../../domain/Metadata.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import type { Metrics } from "../MetadataBatcherMetrics.ts"

export interface Options {
  readonly metrics: Metrics
  readonly update: <Input>(metric: Metric.Metric<Input, unknown>, input: Input) => void
  /** Returns the time of day. */
  readonly nowMillis: () => number
  /** Counts the keys of an agent in a batch. */
  readonly onUtilization: (keys: number) => void
  /** Whether debug records go anywhere. */
  readonly isDebug: boolean
  /** Whether the next record of a loss is a warning. */
  readonly isWarningDue: () => boolean
}

/** A statement that was told to stop is no news; one that took too long is a warning, anything else an error. */
const levelOf = (error: StoreError | undefined) => {
  if (error?.reason === "cancelled") return "Debug"
  return error?.reason === "unavailable" && Cause.isTimeoutError(error.cause) ? "Warn" : "Error"
}

export const makeOutcomes = ({
  isDebug,
  isWarningDue,
  metrics,
  nowMillis,
  onUtilization,
  update
}: Options): Observer<MetadataRow, StoreError> => ({
  onTake: (rows, reason) => {
    forEachAgent(rows, onUtilization)
    return isDebug
      ? Effect.annotateLogs(Effect.logDebug("writing metadata"), { reason, entries: rows.length })
      : Effect.void
  },
  onWritten: ({ count, elapsed, reason, updates }) => {
    update(metrics.writtenAge, (nowMillis() - oldest(updates)) / 1_000)
    return isDebug
      ? Effect.annotateLogs(Effect.logDebug("metadata written"), {
          reason,
          entries: count,
          elapsedMillis: Math.round(Duration.toMillis(elapsed))
        })
      : Effect.void
  },
  onFailed: ({ cause, elapsed, reason, retained, unwritten }) =>
    Effect.suspend(() => {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      update(metrics.flushFailures[error?.reason ?? "defect"], 1)
      return Effect.logWithLevel(levelOf(error))(
        retained ? "metadata could not be written and is kept" : "metadata could not be written and is lost",
        cause
      ).pipe(
        Effect.annotateLogs({
          reason,
          entries: unwritten.length,
          elapsedMillis: Math.round(Duration.toMillis(elapsed))
        })
      )
    }),
  onRejected: ({ agentId, key }) =>
    Effect.annotateLogs(Effect.logError("metadata was rejected by the store and is lost"), { agentId, key }),
  onLost: (rows, reason) =>
    Effect.suspend(() =>
      Effect.annotateLogs(Effect.logWithLevel(isWarningDue() ? "Warn" : "Debug")("pending metadata was lost"), {
        reason,
        entries: rows.length
      })
    ),
  onDraining: (held) => Effect.annotateLogs(Effect.logDebug("metadata batcher draining"), { entries: held }),
  onClosed: ({ cutOff, written }) =>
    Effect.logWithLevel(cutOff > 0 ? "Warn" : "Info")("the metadata batcher has closed").pipe(
      Effect.annotateLogs({ written, lost: cutOff })
    )
})

/** Returns when the oldest of at least one row was collected. */
const oldest = (rows: ReadonlyArray<MetadataRow>): number => {
  let least = Infinity
  for (const { collectedAt } of rows) least = Math.min(least, collectedAt.epochMilliseconds)
  return least
}

/** Says how many rows each agent has; the rows of one agent stand side by side. */
const forEachAgent = (rows: ReadonlyArray<MetadataRow>, onAgent: (count: number) => void): void => {
  let first = 0
  for (let next = 1; next <= rows.length; next++) {
    if (next < rows.length && rows[next]!.agentId === rows[first]!.agentId) continue
    onAgent(next - first)
    first = next
  }
}
