/**
 * Runs programs as another user.
 *
 * - It uses `node:child_process`, because root must choose the user of a program, and `effect/process` cannot do that.
 * - A program gets only the environment variables that it needs to be found and loaded. The others (tokens, the
 *   database's own URL) would be readable by that user.
 */
import { Deferred, Effect } from "effect"
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process"
import type { Account } from "./account.ts"

export interface Program {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** Must exist. A relative folder of the caller may be out of the account's reach. */
  readonly cwd: string
  readonly account: Account | undefined
}

export interface Child {
  readonly pid: number
  /** Sends a signal. Does nothing when the process has ended. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** Describes how the process ended. */
  readonly ended: Effect.Effect<string>
}

/**
 * Runs a program to its end and returns its exit code and its whole output. An interruption ends the program and the
 * programs that it started, and waits for their end.
 */
export const run = (
  program: Program
): Effect.Effect<{ readonly code: number | null; readonly output: string }, Error> =>
  Effect.callback((resume) => {
    const child = launch(program, ["ignore", "pipe", "pipe"])
    const output: Array<string> = []
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => output.push(String(chunk)))
    child.on("error", (error) => resume(Effect.fail(error)))
    child.on("close", (code) => resume(Effect.succeed({ code, output: output.join("") })))
    return Effect.callback<void>((resume) => {
      child.on("close", () => resume(Effect.void))
      process.kill(-child.pid!, "SIGTERM")
    })
  })

/**
 * Starts a program in its own session, which the signals of a terminal do not reach, and returns once it runs. The
 * caller must end it.
 */
export const start = (program: Program, stdio: StdioOptions): Effect.Effect<Child, Error> =>
  Effect.callback((resume) => {
    const ended = Deferred.makeUnsafe<string>()
    const child = launch(program, stdio)
    child.on("error", (error) => resume(Effect.fail(error)))
    child.once("exit", (code, signal) =>
      Deferred.doneUnsafe(ended, Effect.succeed(signal === null ? `exit code ${code}` : `signal ${signal}`))
    )
    child.once("spawn", () =>
      resume(
        Effect.succeed({
          pid: child.pid!,
          signal: (signal) => void child.kill(signal),
          ended: Deferred.await(ended)
        })
      )
    )
  })

const launch = ({ account, args, command, cwd }: Program, stdio: StdioOptions): ChildProcess =>
  spawn(command, args, {
    cwd,
    stdio,
    detached: true,
    env: { PATH: process.env.PATH, LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH, LC_ALL: "C" },
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid })
  })
