/**
 * The original's algorithm in Go, built from `test/bench/go` where there is a Go to build it. It makes its own data, of
 * the same shape and size, and feeds its batcher as the others are fed.
 */
import { Effect, Schema } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Go from "../Go.ts"

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

const sources = ["batcher.go", "main.go", "metrics.go"]

/** The version of Go, and how to feed so many reports of so many agents. Fails where there is no Go. */
export const build = Effect.gen(function* () {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const { program, version } = yield* Go.build(Go.folder, sources)
  const feed = (order: Order, agents: number, reports: number) =>
    Effect.flatMap(spawner.string(ChildProcess.make(program, [order, String(agents), String(reports)])), decode)
  return { remark: `${version}, on all cores; few metrics, no logs`, feed }
})

const decode = Schema.decodeEffect(Schema.fromJsonString(Outcome))
