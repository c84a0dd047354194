/**
 * Turns a report into the entries that the service accepts.
 *
 * - Every entry of a report gets the time of receipt: the clock of an agent is not trusted.
 * - White space around values and errors is removed, and so are the characters that Postgres text cannot hold.
 * - A value or an error may have {@link maxValueBytes}. A longer value is cut on a character boundary, and the stored
 *   error names both sizes. When both are too long, the stored error is about the error.
 * - The keys of one report may have {@link maxKeyBytes} in all. The entry that crosses the limit and all entries after
 *   it are left out; the entries before it are accepted.
 * - A key that the agent has not declared is left out and counted. A report has no more entries than the agent has
 *   keys. If a report has more samples than that, the last sample of a repeated key counts.
 * - An entry holds no more memory than its texts need, however long the texts were before they were trimmed and cut.
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

/** The accepted entries. `keyBytes` is the sum of key sizes so far; above {@link maxKeyBytes} entries were rejected. */
export interface AcceptedReport {
  readonly entries: ReadonlyArray<MetadataEntry>
  readonly keyBytes: number
  /** Samples of keys that the agent has not declared. */
  readonly undeclared: number
}

export type DeclaredKeys = Pick<ReadonlySet<string>, "has" | "size">

export const accept = (
  samples: Iterable<ReportedSample>,
  receivedAt: DateTime.Utc,
  declared: DeclaredKeys
): AcceptedReport => {
  const entries: Array<MetadataEntry> = []
  let keyBytes = 0
  let undeclared = 0
  for (const sample of samples) {
    keyBytes += Utf8.byteLength(sample.key)
    if (keyBytes > maxKeyBytes) break
    const key = storable(sample.key)
    if (declared.has(key)) entries.push(toEntry(key, sample, receivedAt))
    else undeclared++
  }
  return { entries: entries.length > declared.size ? newest(entries) : entries, keyBytes, undeclared }
}

const newest = (entries: ReadonlyArray<MetadataEntry>): ReadonlyArray<MetadataEntry> => [
  ...new Map(entries.map((entry) => [entry.key, entry])).values()
]

const toEntry = (key: string, sample: ReportedSample, collectedAt: DateTime.Utc): MetadataEntry => {
  const value = trimmed(storable(sample.value))
  const error = trimmed(storable(sample.error))
  const isValueTooLong = Utf8.exceeds(value, maxValueBytes)
  return {
    key,
    value: isValueTooLong ? Utf8.truncate(value, maxValueBytes) : value,
    error: Utf8.exceeds(error, maxValueBytes)
      ? tooLong("error", error)
      : isValueTooLong
        ? tooLong("value", value)
        : error,
    collectedAt
  }
}

/**
 * Trims without keeping the white space in memory, as the result of `trim` alone would. A text to cut is copied later.
 */
const trimmed = (text: string): string => {
  const result = text.trim()
  return result.length === text.length || result.length > maxValueBytes ? result : Utf8.copy(result)
}

const tooLong = (what: string, text: string) =>
  `${what} of ${Utf8.byteLength(text)} bytes is over the limit of ${maxValueBytes} bytes`
