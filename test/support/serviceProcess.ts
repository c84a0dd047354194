/** The service as its users run it: a process of its own, with lines on its standard output. */
import { Deferred, Effect, Exit } from "effect"
import { spawn } from "node:child_process"
import type { Readable } from "node:stream"
import { compileCache, programAt } from "./folder.ts"

export interface ServiceProcess {
  readonly pid: number
  /**
   * The next line that matches, with what its groups hold. Earlier lines of the same output are gone; those of the other
   * one are not, because nobody knows which of two outputs was first.
   */
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
  const exit = yield* Deferred.make<number | null>()
  let output = ""
  let more = Deferred.makeUnsafe<void>()
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
  const linesOf = (stream: Readable) => {
    const lines: Array<string> = []
    let rest = ""
    stream.on("data", (chunk: Buffer) => {
      output += chunk
      const [last, ...whole] = (rest + chunk).split("\n").reverse()
      rest = last!
      lines.push(...whole.reverse())
      Deferred.doneUnsafe(more, Exit.void)
      more = Deferred.makeUnsafe()
    })
    return lines
  }
  const outputs = [linesOf(child.stdout), linesOf(child.stderr)]
  const nextLine = (pattern: RegExp): Effect.Effect<RegExpExecArray> =>
    Effect.suspend(() => {
      for (const lines of outputs) {
        const index = lines.findIndex((line) => pattern.test(line))
        if (index !== -1) return Effect.succeed(pattern.exec(lines.splice(0, index + 1).at(-1)!)!)
      }
      return Effect.andThen(Deferred.await(more), nextLine(pattern))
    })
  child.on("close", (code) => Deferred.doneUnsafe(exit, Effect.succeed(code)))

  const service: ServiceProcess = {
    pid: child.pid!,
    line: (pattern) =>
      Effect.raceFirst(
        nextLine(pattern),
        Effect.flatMap(Deferred.await(exit), (code) => Effect.die(new Error(`exited with ${code}:\n${output}`)))
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
