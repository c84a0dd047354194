import { Schema } from "effect"

/**
 * The embedded server cannot be used. The message says what to do about it.
 *
 * - `missing`: the Postgres binaries are not installed.
 * - `unsupported`: this platform or this account cannot run the binaries.
 * - `running`: another process already uses the data folder; `pid` identifies it.
 * - `version`: another major version of Postgres created the data folder.
 * - `folder`: the data folder cannot be read or written.
 * - `failed`: Postgres failed to initialise or to start, or ended on its own. The message ends with its last output.
 */
export class EmbeddedPostgresError extends Schema.TaggedError<EmbeddedPostgresError>()("EmbeddedPostgresError", {
  /** Why it cannot be used: see above. */
  reason: Schema.Literals(["missing", "unsupported", "running", "version", "folder", "failed"]),
  /** The message, which says what to do. */
  detail: Schema.String,
  /** The process that uses the data folder. */
  pid: Schema.optionalKey(Schema.Int),
  /** The error beneath, if there is one. */
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return this.detail
  }
}

export const failed = (detail: string, cause?: unknown) =>
  new EmbeddedPostgresError({ reason: "failed", detail, ...(cause === undefined ? {} : { cause }) })

/** Returns the last lines of a program's output: as many as an error for people should show. */
export const lastLines = (text: string) => text.trimEnd().split("\n").slice(-10).join("\n")
