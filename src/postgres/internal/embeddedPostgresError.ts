import { Schema } from "effect"

/**
 * An embedded server that cannot be had. The message says what to do about it.
 *
 * - `missing`: the Postgres binaries are not installed.
 * - `unsupported`: this platform or this account cannot run them.
 * - `running`: another process already uses the data folder; `pid` is the one to look for.
 * - `version`: the data folder was made by another major version of Postgres.
 * - `folder`: the data folder cannot be read or written.
 * - `failed`: Postgres refused to initialise or to start, or ended on its own. The message ends with its last words.
 */
export class EmbeddedPostgresError extends Schema.TaggedError<EmbeddedPostgresError>()("EmbeddedPostgresError", {
  reason: Schema.Literals(["missing", "unsupported", "running", "version", "folder", "failed"]),
  detail: Schema.String,
  pid: Schema.optionalKey(Schema.Int),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return this.detail
  }
}

export const failed = (detail: string, cause?: unknown) =>
  new EmbeddedPostgresError({ reason: "failed", detail, ...(cause === undefined ? {} : { cause }) })

/** The end of what a program printed: as much as a person wants to see in an error. */
export const lastLines = (text: string) => text.trimEnd().split("\n").slice(-10).join("\n")
