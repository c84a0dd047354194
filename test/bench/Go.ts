/** Builds the Go programs of the benchmark, on a machine that has Go. */
import { Data, Effect, FileSystem } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Path from "node:path"

export class GoError extends Data.TaggedError("GoError")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

/** The folder of the Go programs. */
export const folder = Path.join(import.meta.dirname, "go")

/** The version of Go, and the path of the program that Go has built in a folder. Fails on a machine without Go. */
export const build = Effect.fnUntraced(function* (cwd: string, sources: ReadonlyArray<string>) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const fs = yield* FileSystem.FileSystem
  const version = yield* spawner
    .string(ChildProcess.make("go", ["env", "GOVERSION"]))
    .pipe(Effect.mapError(() => new GoError({ detail: "there is no go on the path" })))

  const program = Path.join(yield* fs.makeTempDirectoryScoped({ prefix: "metadata-batcher-bench-" }), "program")
  const exitCode = yield* spawner.exitCode(
    ChildProcess.make("go", ["build", "-o", program, ...sources], { cwd, stdout: "inherit", stderr: "inherit" })
  )
  if (exitCode !== 0) return yield* new GoError({ detail: "go cannot build it" })
  return { version: version.trim(), program }
})
