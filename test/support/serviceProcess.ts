/** The service as its users run it: a process of its own, with lines on its standard output. */
import { Deferred, Effect, Queue, Stream } from "effect"
import { spawn } from "node:child_process"
import { compileCache, programAt } from "./folder.ts"

export interface ServiceProcess {
  readonly pid: number
  /** The next line that matches, with what its groups hold; earlier lines are gone. */
  readonly line: (pattern: RegExp) => Effect.Effect<RegExpExecArray>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Sends a signal to the process and to those that it started, except those in a session of their own. */
  readonly killAll: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Closes the reading end of its standard output and standard error. */
  readonly closeOutput: Effect.Effect<void>
  /** The exit code, once the process has ended. */
  readonly exit: Effect.Effect<number | null>
  /** All it has printed. */
  readonly output: () => string
}

/** Starts `metadata-batcher` with these arguments; it is killed with the scope if it is still there. */
export const start = (args: ReadonlyArray<string>, env?: Readonly<Record<string, string>>) =>
  startCommand(process.execPath, [programAt("src/main.ts"), ...args], env)

/** Starts a program of the tests in its place, which can ask for a collection of garbage. */
export const startProgram = (path: string, env?: Readonly<Record<string, string>>) =>
  startCommand(process.execPath, ["--expose-gc", programAt(path)], env)

/** The command that runs a program in PID and IPC namespaces of its own, as a container does. */
export const isolated = [
  "unshare",
  // a user namespace gives anyone but root the right to make the others
  ...(process.geteuid?.() === 0 ? [] : ["--map-current-user"]),
  ..."--pid --fork --kill-child --mount-proc --ipc".split(" ")
] as readonly [string, ...Array<string>]

/** Starts `metadata-batcher` through another program, such as `unshare`. */
export const startThrough = (
  [command, ...prefix]: readonly [string, ...ReadonlyArray<string>],
  args: ReadonlyArray<string>,
  env?: Readonly<Record<string, string>>
) => startCommand(command, [...prefix, process.execPath, programAt("src/main.ts"), ...args], env)

/** Starts it by `npm start`, which gets the signals. */
export const npmStart = (args: ReadonlyArray<string>) => startCommand("npm", ["start", "--", ...args])

/** Starts any command; what it started is killed with the scope. */
export const startCommand = Effect.fnUntraced(function* (
  command: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
) {
  const lines = yield* Queue.unbounded<string>()
  const exit = yield* Deferred.make<number | null>()
  let output = ""
  let rest = ""
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(command, args, {
        detached: true,
        env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...compileCache(), ...env }
      })
    ),
    // a group of processes, of which none may be left
    (child) => Effect.ignore(Effect.try(() => process.kill(-child.pid!, "SIGKILL")))
  )
  const take = (chunk: Buffer) => {
    output += chunk
    const [last, ...whole] = (rest + chunk).split("\n").reverse()
    rest = last!
    Queue.offerAllUnsafe(lines, whole.reverse())
  }
  child.stdout.on("data", take)
  child.stderr.on("data", take)
  child.on("close", (code) => Deferred.doneUnsafe(exit, Effect.succeed(code)))

  const service: ServiceProcess = {
    pid: child.pid!,
    line: (pattern) =>
      Stream.fromQueue(lines).pipe(
        Stream.map((line) => pattern.exec(line)),
        Stream.filter((match) => match !== null),
        Stream.runHead,
        Effect.flatMap(Effect.fromOption),
        Effect.raceFirst(
          Effect.flatMap(Deferred.await(exit), (code) => Effect.die(new Error(`exited with ${code}:\n${output}`)))
        ),
        Effect.orDie
      ),
    kill: (signal) => Effect.sync(() => void child.kill(signal)),
    killAll: (signal) => Effect.ignore(Effect.try(() => process.kill(-child.pid!, signal))),
    closeOutput: Effect.sync(() => {
      child.stdout.destroy()
      child.stderr.destroy()
    }),
    exit: Deferred.await(exit),
    output: () => output
  }
  return service
})
