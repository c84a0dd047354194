/**
 * Runs the server process: starts it on a port, waits until it is ready, watches it, and ends it with its scope.
 */
import { Deferred, type Duration, Effect, Result, Schedule } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as FreePort from "../../platform/FreePort.ts"
import type { Account } from "./account.ts"
import * as ChildProcess from "./childProcess.ts"
import * as Cluster from "./cluster.ts"
import { type EmbeddedPostgresError, failed, lastLines } from "./embeddedPostgresError.ts"
import type { Binaries } from "./postgresBinaries.ts"
import * as Postmaster from "./postmaster.ts"

export interface Options {
  readonly dataDir: string
  readonly account: Account | undefined
  readonly binaries: Binaries
  readonly host: string
  readonly port: number | undefined
  readonly settings: Readonly<Record<string, string>> | undefined
  readonly startTimeout: Duration.Input
  readonly stopTimeout: Duration.Input
}

/** Starts the server and returns once it accepts connections. */
export const start = Effect.fnUntraced(function* (options: Options) {
  // another program may have taken the port since it was found to be free
  const { port, server } = yield* Effect.retry(launch(options), {
    times: options.port === undefined ? 5 : 0,
    while: (error) => error.detail.includes("Address already in use")
  })
  const died = yield* Deferred.make<never, EmbeddedPostgresError>()
  yield* server.ended.pipe(
    Effect.map((how) => failed(`Postgres ended on its own (${how}):\n${server.lastWords()}`)),
    Effect.tap((error) => Effect.logError(error.detail)),
    Effect.flatMap((error) => Deferred.fail(died, error)),
    Effect.forkScoped
  )
  return { pid: server.pid, port, died: Deferred.await(died) }
})

const launch = Effect.fnUntraced(function* (options: Options) {
  const cluster = Cluster.folderOf(options.dataDir)
  const port =
    options.port ??
    (yield* FreePort.find(options.host).pipe(Effect.mapError(({ cause, message }) => failed(message, cause))))
  const server = yield* Effect.acquireRelease(spawn(options, port), (server) =>
    Postmaster.end(server, options.stopTimeout)
  )
  yield* endAtExit(server)

  const ready = Effect.repeat(Postmaster.isReady(cluster, server.pid), {
    until: (ready) => ready,
    schedule: Schedule.spaced("10 millis")
  })
  const ended = Effect.flatMap(server.ended, (how) => failed(`Postgres did not start (${how}):\n${server.lastWords()}`))
  yield* Effect.raceFirst(ready, ended).pipe(
    Effect.timeoutOrElse({
      duration: options.startTimeout,
      orElse: () =>
        Effect.andThen(
          Postmaster.end(server, options.stopTimeout),
          Effect.suspend(() => failed(`Postgres was not ready in time:\n${server.lastWords()}`))
        )
    })
  )
  return { server, port }
})

/** Starts the program. Both its streams are appended to the log file. A log file that is too large is renamed first. */
const spawn = (options: Options, port: number) => {
  const log = Path.join(options.dataDir, "postgres.log")
  return Effect.acquireUseRelease(
    Effect.try({
      try: () => {
        if ((Fs.statSync(log, { throwIfNoEntry: false })?.size ?? 0) > maxLogBytes) Fs.renameSync(log, `${log}.1`)
        const descriptor = Fs.openSync(log, "a", 0o600)
        return { descriptor, offset: Fs.fstatSync(descriptor).size }
      },
      catch: (cause) => failed(`cannot write ${log}`, cause)
    }),
    ({ descriptor, offset }) =>
      ChildProcess.start(
        {
          command: Path.join(options.binaries, "bin", "postgres"),
          args: [...Postmaster.identity(Cluster.folderOf(options.dataDir)), ...settings(options, port)],
          cwd: options.dataDir,
          account: options.account
        },
        ["ignore", descriptor, descriptor]
      ).pipe(
        Effect.mapError((cause) => failed("cannot run postgres", cause)),
        Effect.map((server) => ({
          ...server,
          lastWords: () =>
            Result.getOrElse(
              Result.try(() => lastLines(Fs.readFileSync(log).subarray(offset).toString())),
              () => `(${log} is gone)`
            )
        }))
      ),
    ({ descriptor }) => Effect.sync(() => Fs.closeSync(descriptor))
  )
}

const maxLogBytes = 10 * 1024 * 1024

const settings = (options: Options, port: number) =>
  Object.entries({
    // no replication
    wal_level: "minimal",
    max_wal_senders: 0,
    jit: "off",
    // errors of statements are not logged, because they quote values; clients receive them
    log_min_messages: "log",
    log_checkpoints: "off",
    log_timezone: "UTC",
    timezone: "UTC",
    ...options.settings,
    listen_addresses: options.host,
    unix_socket_directories: "",
    port
  }).flatMap(([name, value]) => ["-c", `${name}=${value}`])

/** Asks the server to end when this process exits while the scope is open. */
const endAtExit = (server: Postmaster.Endable) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const listener = () => server.signal("SIGINT")
      process.on("exit", listener)
      return listener
    }),
    (listener) => Effect.sync(() => process.off("exit", listener))
  )
