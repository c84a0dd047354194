/**
 * Runs a script of an agent in the shell of this machine.
 *
 * - The script is killed, with the processes that it started, at its timeout or when the effect is interrupted.
 * - Standard output and standard error are one output, of which a sample keeps the first {@link maxOutputBytes}.
 */
import { Data, Duration, Effect, Option, Stream } from "effect"
import { ChildProcess, type ChildProcessSpawner } from "effect/process"

/** The most of an output that a sample keeps. */
export const maxOutputBytes = 10_240

/** The script did not succeed. */
export class ScriptFailed extends Data.TaggedError("ScriptFailed")<{
  readonly reason: "exit" | "timeout" | "start"
  /** Of a script that ended by itself. */
  readonly exitCode?: number
  readonly message: string
  /** The first part of its output. */
  readonly output: string
}> {}

export interface Options {
  /** Called for each line of the output. */
  readonly onLine?: (line: string) => void
  /** Zero means none. */
  readonly timeout: Duration.Duration
}

/** Runs a script, and returns the first part of its output. */
export const run = (
  script: string,
  { onLine, timeout }: Options
): Effect.Effect<string, ScriptFailed, ChildProcessSpawner.ChildProcessSpawner> => {
  let output = ""
  const execute = Effect.gen(function* () {
    const child = yield* ChildProcess.make(script, { shell: true, stdin: "ignore", forceKillAfter: "2 seconds" })
    const text = Stream.decodeText(child.all)
    if (onLine === undefined) {
      yield* Stream.runForEach(text, (part) => {
        if (output.length < maxOutputBytes) output += part.slice(0, maxOutputBytes - output.length)
        return Effect.void
      })
    } else {
      yield* Stream.runForEach(Stream.splitLines(text), (line) => Effect.sync(() => onLine(line)))
    }
    return Number(yield* child.exitCode)
  }).pipe(
    Effect.scoped,
    Effect.mapError(
      ({ message }) => new ScriptFailed({ reason: "start", message: `the script cannot run: ${message}`, output })
    )
  )
  return Effect.gen(function* () {
    const code = yield* Duration.isZero(timeout) ? Effect.asSome(execute) : Effect.timeoutOption(execute, timeout)
    if (Option.isNone(code)) {
      return yield* new ScriptFailed({ reason: "timeout", message: "the script did not end in time", output })
    }
    if (code.value === 0) return output
    return yield* new ScriptFailed({
      reason: "exit",
      exitCode: code.value,
      message: `exit status ${code.value}`,
      output
    })
  })
}
