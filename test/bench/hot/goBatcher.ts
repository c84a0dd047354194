/**
 * The original's algorithm in Go, built from `test/bench/go` where there is a Go to build it. It makes its own data, of
 * the same shape and size, and feeds its batcher as the others are fed.
 */
import { Data, Effect, FileSystem, Schema } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Path from "node:path"

export const name = "the original's algorithm"

/** The output of the program. */
const Outcome = Schema.Struct({
  millis: Schema.Finite,
  cpuMillis: Schema.Finite,
  gcMillis: Schema.Finite,
  allocatedBytes: Schema.Finite,
  dropped: Schema.Finite,
  batches: Schema.Finite,
  rows: Schema.Finite
})
export type Outcome = typeof Outcome.Type

/** The order in which agents report; see `Workload`. */
export type Order = "reports" | "roll" | "repeats"

class GoError extends Data.TaggedError("GoError")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

const sources = ["batcher.go", "main.go", "metrics.go"]

/** The version of Go, and how to feed so many reports of so many agents. Fails where there is no Go. */
export const build = Effect.gen(function* () {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const fs = yield* FileSystem.FileSystem
  const version = yield* spawner
    .string(ChildProcess.make("go", ["env", "GOVERSION"]))
    .pipe(Effect.mapError(() => new GoError({ detail: "there is no go on the path" })))

  const program = Path.join(yield* fs.makeTempDirectoryScoped({ prefix: "metadata-batcher-bench-" }), "batcher")
  const exitCode = yield* spawner.exitCode(
    ChildProcess.make("go", ["build", "-o", program, ...sources], {
      cwd: Path.join(import.meta.dirname, "../go"),
      stdout: "inherit",
      stderr: "inherit"
    })
  )
  if (exitCode !== 0) return yield* new GoError({ detail: "go cannot build it" })

  const feed = (order: Order, agents: number, reports: number) =>
    Effect.flatMap(spawner.string(ChildProcess.make(program, [order, String(agents), String(reports)])), decode)
  return { remark: `${version.trim()}, on all cores; few metrics, no logs`, feed }
})

const decode = Schema.decodeEffect(Schema.fromJsonString(Outcome))
