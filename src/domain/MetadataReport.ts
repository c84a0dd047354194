/**
 * What of a report is accepted, and as what.
 *
 * - Every entry of a report gets the one time it was received at: the clock of an agent is not trusted.
 * - White space around values and errors is removed, and so are the characters that Postgres text cannot hold.
 * - A value or an error may have {@link maxValueBytes}. A longer value is cut on a character boundary; whatever was too
 *   long, the stored error says so, naming both sizes. When both are too long the error speaks of the error.
 * - The keys of one report may have {@link maxKeyBytes} in all. The entry that crosses the limit and everything behind
 *   it are refused; what came before stands.
 */
import type { DateTime } from "effect"
import type { MetadataEntry } from "./Metadata.ts"
import { storable } from "./PostgresText.ts"
import * as Utf8 from "./Utf8.ts"

/** The largest value and the largest error, in UTF-8 bytes. */
export const maxValueBytes = 2_048

/** The largest sum of key sizes in one report, in UTF-8 bytes. */
export const maxKeyBytes = 6_144

/** One key of a report, as the agent sent it. */
export interface ReportedSample {
  readonly key: string
  readonly value: string
  readonly error: string
}

/** What became of a report. `keyBytes` is the sum at which the walk ended: above {@link maxKeyBytes} it was cut short. */
export interface AcceptedReport {
  readonly entries: ReadonlyArray<MetadataEntry>
  readonly keyBytes: number
}

export const accept = (samples: Iterable<ReportedSample>, receivedAt: DateTime.Utc): AcceptedReport => {
  const entries: Array<MetadataEntry> = []
  let keyBytes = 0
  for (const sample of samples) {
    keyBytes += Utf8.byteLength(sample.key)
    if (keyBytes > maxKeyBytes) break
    entries.push(toEntry(sample, receivedAt))
  }
  return { entries, keyBytes }
}

const toEntry = (sample: ReportedSample, collectedAt: DateTime.Utc): MetadataEntry => {
  const key = storable(sample.key)
  const value = storable(sample.value).trim()
  const error = storable(sample.error).trim()
  const valueBytes = Utf8.byteLength(value)
  const errorBytes = Utf8.byteLength(error)
  return {
    key,
    value: valueBytes > maxValueBytes ? Utf8.truncate(value, maxValueBytes) : value,
    error:
      errorBytes > maxValueBytes
        ? tooLong("error", errorBytes)
        : valueBytes > maxValueBytes
          ? tooLong("value", valueBytes)
          : error,
    collectedAt
  }
}

const tooLong = (what: string, bytes: number) => `${what} of ${bytes} bytes is over the limit of ${maxValueBytes} bytes`
