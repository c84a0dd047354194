/**
 * The secrets of users, which the agents of their workspaces get as environment variables and files.
 *
 * Names and limits are the original's: together the secrets of a user are a small part of the largest manifest.
 */
import { type DateTime, Schema } from "effect"
import { isStorable } from "../domain/PostgresText.ts"
import * as Utf8 from "../domain/Utf8.ts"
import { optional } from "./AgentDeclaration.ts"

/** The most secrets of a user. */
export const maxSecrets = 50

/** The most bytes of a value, and of all values of a user that are in environment variables. */
export const maxValueBytes = 24 * 1024

/** The most bytes of all values of a user. */
export const maxTotalBytes = 200 * 1024

/** Text of at most `maxBytes` that can be stored. */
const bytes = (maxBytes: number) =>
  Schema.String.check(
    isStorable,
    Schema.makeFilter((text) => !Utf8.exceeds(text, maxBytes) || `Expected at most ${maxBytes} bytes`)
  )

/** Variables that the agent, the shell or the system sets. */
const reservedNames: ReadonlySet<string> = new Set([
  "BASH_ENV",
  "CDPATH",
  "CODER",
  "CS_DISABLE_GETTING_STARTED_OVERRIDE",
  "EDITOR",
  "ENV",
  "HOME",
  "HOSTNAME",
  "IFS",
  "LANG",
  "LOGNAME",
  "OLDPWD",
  "PAGER",
  "PATH",
  "PWD",
  "SHELL",
  "SSH_AUTH_SOCK",
  "SSH_CLIENT",
  "SSH_CONNECTION",
  "SSH_TTY",
  "TEMP",
  "TERM",
  "TMP",
  "TMPDIR",
  "USER",
  "VISUAL",
  "VSCODE_PROXY_URI",
  "XDG_CACHE_HOME",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "XDG_RUNTIME_DIR",
  "XDG_STATE_HOME"
])

const reservedPrefixes = ["CODER_", "DYLD_", "GIT_", "LC_", "LD_"]

const isReserved = (name: string) =>
  reservedNames.has(name) || reservedPrefixes.some((prefix) => name.startsWith(prefix))

const EnvName = bytes(256).check(
  Schema.isPattern(/^(?:[a-z_][a-z0-9_]*)?$/i, {
    expected: "letters, digits and underscores, the first one no digit"
  }),
  Schema.makeFilter((name) => !isReserved(name.toUpperCase()) || "Expected a name that is not reserved")
)

const FilePath = bytes(4_096).check(
  Schema.isPattern(/^(?:~?\/[^]+)?$/, { expected: "a path that begins with / or ~/" })
)

/** The content of a secret. It has a variable or a file, or both. */
export const SecretContent = Schema.Struct({
  /** The environment variable, unless empty. */
  env_name: optional(EnvName, ""),
  /** The file, unless empty. */
  file_path: optional(FilePath, ""),
  /** The value, which logs do not show. */
  value: Schema.RedactedFromValue(bytes(maxValueBytes).check(Schema.isMinLength(1)), { label: "secret" })
}).check(
  Schema.makeFilter(({ env_name, file_path }) =>
    env_name !== "" || file_path !== ""
      ? undefined
      : { path: ["env_name"], issue: "Expected the name of a variable, unless there is a file_path" }
  )
)
export type SecretContent = typeof SecretContent.Type

/** A secret without its value. */
export interface SecretSummary {
  /** Its name, unique for its user. */
  readonly name: string
  /** The environment variable with its value, unless empty. */
  readonly envName: string
  /** The file with its value, unless empty. */
  readonly filePath: string
  /** The time at which it was given first. */
  readonly createdAt: DateTime.Utc
  /** The time at which it was given last. */
  readonly updatedAt: DateTime.Utc
}
