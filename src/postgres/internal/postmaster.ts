/**
 * Finds and ends the server that already runs on a data folder.
 *
 * Postgres itself ensures that two servers never share a folder, but it cannot know whether a server that it finds
 * there is still wanted. Our servers have the id of the process that started them on their command line, and the system
 * gives a new parent to a child whose parent died. So a server of ours whose parent is not its owner is an orphan, even
 * if another program now has the owner's id.
 */
import { type Duration, Effect, FileSystem, Option, Schedule } from "effect"
import * as Path from "node:path"
import { run } from "./childProcess.ts"

/** A server that holds a data folder: its owner still runs, or it outlived its owner, or it is not one of ours. */
export interface Postmaster {
  readonly pid: number
  readonly state: "owned" | "orphaned" | "foreign"
  /** The process that started the server, or the server itself when that is unknown. */
  readonly owner: number
}

/**
 * Returns the arguments that all our servers start with. Postgres ignores the setting and keeps it on its command line.
 */
export const identity = (cluster: string): ReadonlyArray<string> => ["-D", cluster, "-c", `${marker}${process.pid}`]

const marker = "metadata_batcher.owner="

/** Finds the server that runs on `cluster`. Removes a lock file whose process id now belongs to another program. */
export const find = Effect.fnUntraced(function* (cluster: string) {
  const pid = Number((yield* lockFile(cluster))[0])
  const found = pid > 0 ? yield* describe(pid) : Option.none()
  if (Option.isNone(found)) return Option.none<Postmaster>()
  const { command, parent } = found.value
  if (Path.basename(command.split(" -")[0] ?? "") !== "postgres") {
    yield* FileSystem.FileSystem.use((fs) => fs.remove(lockFileOf(cluster), { force: true }))
    return Option.none<Postmaster>()
  }
  const [ours, rest] = command.split(` -D ${cluster} -c ${marker}`)
  const owner = Number.parseInt(rest ?? "")
  if (ours === command) return Option.some<Postmaster>({ pid, state: "foreign", owner: pid })
  return Option.some<Postmaster>({ pid, state: owner === parent ? "owned" : "orphaned", owner })
})

/** Whether the server `pid` on `cluster` accepts connections, according to its lock file. */
export const isReady = (cluster: string, pid: number) =>
  Effect.map(lockFile(cluster), (lines) => lines[0] === String(pid) && lines[7] === "ready")

/** A server that can be ended. Signals have no effect after its end. */
export interface Endable {
  readonly pid: number
  readonly signal: (signal: NodeJS.Signals) => void
  readonly ended: Effect.Effect<unknown>
}

/**
 * Ends a server in three steps: an orderly shutdown, which disconnects its clients; a shutdown without a last
 * checkpoint; a kill. Each step may take `timeout`. Returns whether the server ended.
 */
export const end = Effect.fnUntraced(function* (server: Endable, timeout: Duration.Input) {
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    // when the server is gone or not ours to signal, the check of its end shows that
    yield* Effect.ignore(Effect.try(() => server.signal(signal)))
    if (Option.isSome(yield* Effect.timeoutOption(server.ended, timeout))) return true
    yield* Effect.logWarning("Postgres did not end on a signal").pipe(Effect.annotateLogs({ pid: server.pid, signal }))
  }
  return false
})

/** A server that is not a child of this process. */
export const orphan = (pid: number) =>
  Effect.map(Effect.context<FileSystem.FileSystem>(), (context): Endable => ({
    pid,
    signal: (signal) => process.kill(pid, signal),
    ended: Effect.provideContext(
      Effect.repeat(describe(pid), { until: Option.isNone, schedule: Schedule.spaced("20 millis") }),
      context
    )
  }))

const lockFileOf = (cluster: string) => Path.join(cluster, "postmaster.pid")

const lockFile = (cluster: string) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(lockFileOf(cluster))).pipe(
    Effect.map((text) => text.split("\n").map((line) => line.trim())),
    Effect.orElseSucceed((): ReadonlyArray<string> => [])
  )

interface Process {
  readonly parent: number
  readonly command: string
}

/** Returns the system's description of a process, from /proc or else from ps (macOS). A dead child has none. */
const describe = Effect.fnUntraced(function* (pid: number) {
  const fs = yield* FileSystem.FileSystem
  if (!(yield* Effect.orElseSucceed(fs.exists("/proc/self/stat"), () => false))) return yield* describeByPs(pid)
  return yield* Effect.all([fs.readFileString(`/proc/${pid}/stat`), fs.readFileString(`/proc/${pid}/cmdline`)]).pipe(
    Effect.map(([stat, command]) => {
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      return state === "Z"
        ? Option.none<Process>()
        : Option.some<Process>({ parent: Number(parent), command: command.replaceAll("\0", " ") })
    }),
    Effect.orElseSucceed(() => Option.none<Process>())
  )
})

const describeByPs = (pid: number) =>
  run({ command: "ps", args: ["-ww", "-o", "ppid=,command=", "-p", String(pid)], cwd: "/", account: undefined }).pipe(
    Effect.map(({ output }) => {
      const [, parent, command] = /^\s*(\d+)\s+(.*)/.exec(output) ?? []
      return parent === undefined
        ? Option.none<Process>()
        : Option.some<Process>({ parent: Number(parent), command: command ?? "" })
    }),
    Effect.orElseSucceed(() => Option.none<Process>())
  )
