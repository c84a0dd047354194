/**
 * The Go client of `test/wire/go`, which is made of the libraries of stock agents, against the service on a real port and a
 * real Postgres: with the release of dRPC that stock agents are built with, and with the one of newer programs.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { execFile, spawnSync } from "node:child_process"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"

const hasGo = spawnSync("go", ["version"]).status === 0

/** Runs a program; returns its exit code and all it has printed. */
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

describe.skipIf(!hasGo)(hasGo ? "a stock client" : "a stock client (skipped: needs go)", () => {
  layer(Service.layerWith({ AGENT_MAX_CALL_RATE: "100000" }), { excludeTestServices: true })((it) => {
    for (const [release, args] of [
      ["v0.0.34", []],
      ["v1.0.0", ["-modfile=drpc1.mod"]]
    ] as const) {
      it.effect(`finds all it needs, with dRPC ${release}`, () =>
        Effect.gen(function* () {
          const { url } = yield* Service.TestService
          const { token } = yield* People.agent("cpu")

          const generated = yield* run("npx", [
            "buf",
            "generate",
            "src/wire/proto",
            "--template",
            "test/wire/go/buf.gen.yaml"
          ])
          assert.strictEqual(generated.code, 0, generated.output)
          const tested = yield* run("go", ["-C", "test/wire/go", "test", "-count=1", "-v", ...args, "./..."], {
            SERVICE_URL: url,
            AGENT_TOKEN: Redacted.value(token)
          })

          assert.strictEqual(tested.code, 0, tested.output)
          assert.include(tested.output, "--- PASS: TestStart")
        })
      )
    }
  })
})
