/**
 * The server that already runs on a data folder, and its end.
 *
 * Postgres itself makes sure that two servers never share a folder. It cannot know whether a server that it finds
 * there is still wanted. Ours carry the id of the process that started them on their command line, and the system gives
 * another parent to a child whose parent died. So a server of ours whose parent is not its owner is an orphan, whatever
 * program got the owner's id since.
 */
import { type Duration, Effect, FileSystem, Option, Schedule } from "effect"
import * as Path from "node:path"
import { run } from "./childProcess.ts"

/** A server that holds a data folder: one that its owner still runs, one that outlived its owner, or not one of ours. */
export interface Postmaster {
  readonly pid: number
  readonly state: "owned" | "orphaned" | "foreign"
  /** The process that started it; the server itself when that is not known. */
  readonly owner: number
}

/** The arguments that every server of ours starts with. The setting means nothing to Postgres, which carries it along. */
export const identity = (cluster: string): ReadonlyArray<string> => ["-D", cluster, "-c", `${marker}${process.pid}`]

const marker = "metadata_batcher.owner="

/** The server that runs on `cluster`. A lock file that names the process of another program by now is removed. */
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

/** Whether the server `pid` on `cluster` takes connections: it says so in its lock file. */
export const isReady = (cluster: string, pid: number) =>
  Effect.map(lockFile(cluster), (lines) => lines[0] === String(pid) && lines[7] === "ready")

/** A server that can be ended. Its signals do nothing once it ended. */
export interface Endable {
  readonly pid: number
  readonly signal: (signal: NodeJS.Signals) => void
  readonly ended: Effect.Effect<unknown>
}

/**
 * Ends a server: first in order, which disconnects its clients; then without a last checkpoint; then by force. Each step
 * is given `timeout`. Answers whether the server ended.
 */
export const end = Effect.fnUntraced(function* (server: Endable, timeout: Duration.Input) {
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    // one that is gone, or that is not ours to signal, shows in whether it ended
    yield* Effect.ignore(Effect.try(() => server.signal(signal)))
    if (Option.isSome(yield* Effect.timeoutOption(server.ended, timeout))) return true
    yield* Effect.logWarning(`Postgres (process ${server.pid}) did not end on ${signal}`)
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

/** The system's description of a process: from /proc, or from ps where there is none (macOS). A dead child has none. */
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
