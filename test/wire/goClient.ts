/** Runs the tests of the Go client in `test/wire/go`. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { execFile, spawnSync } from "node:child_process"

export const hasGo = spawnSync("go", ["version"]).status === 0

/** The releases of dRPC: the one that stock agents are built with, and the one of newer programs. */
export const releases: ReadonlyArray<{ readonly release: string; readonly args: ReadonlyArray<string> }> = [
  { release: "v0.0.34", args: [] },
  { release: "v1.0.0", args: ["-modfile=drpc1.mod"] }
]

/** Generates the messages, and runs the tests with these arguments; returns the exit code and all that was printed. */
export const test = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
) {
  const template = "test/wire/go/buf.gen.yaml"
  const generated = yield* run("npx", ["buf", "generate", "src/wire/proto", "--template", template])
  assert.strictEqual(generated.code, 0, generated.output)
  return yield* run("go", ["-C", "test/wire/go", "test", "-count=1", "-v", ...args, "./..."], env)
})

/** Runs a program; returns its exit code and all that it has printed. */
const run = (command: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.callback<{ readonly code: number; readonly output: string }>((resume) => {
    const child = execFile(
      command,
      args,
      { env: { ...process.env, ...env }, maxBuffer: 16 * 1024 * 1024 },
      (error, stdout, stderr) =>
        resume(Effect.succeed({ code: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr }))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })
