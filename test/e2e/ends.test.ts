/** The ends of the service's process that are not Ctrl-C or SIGTERM of a running service. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { readdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { dataFolder } from "../support/folder.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

/** The option that makes Node run a program before its own. */
const before = (program: string) => `--import=data:text/javascript,${encodeURIComponent(program)}`

/** A program that sends itself a signal as soon as the command line is loaded, before that has run. */
const signalWhileLoading = (signal: NodeJS.Signals) =>
  before(`
    import { registerHooks } from "node:module"
    registerHooks({ load: (url, context, next) => {
      if (/\\/Cli\\b[^/]*$/.test(url)) process.kill(process.pid, "${signal}")
      return next(url, context)
    } })`)

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** The process of the embedded server in this folder. */
const postmaster = (folder: string): number => {
  const file = readdirSync(folder, { recursive: true, encoding: "utf8" }).find((name) =>
    name.endsWith("postmaster.pid")
  )!
  return Number(readFileSync(Path.join(folder, file), "utf8").split("\n")[0])
}

describe("the process of the service", () => {
  for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) {
    it.live(`ends by ${signal} while it is loaded [FT-21]`, () =>
      Effect.gen(function* () {
        const service = yield* ServiceProcess.start(["serve"], {
          NODE_OPTIONS: signalWhileLoading(signal)
        })

        // a process without a handler has no exit code, and as process 1 does not end at all
        assert.strictEqual(yield* service.exit, 0)
        assert.strictEqual(service.output(), "")
      })
    )
  }

  it.live("ends with 1 and one sentence on a Node that is too old", () =>
    Effect.gen(function* () {
      const service = yield* ServiceProcess.start(["serve"], {
        NODE_OPTIONS: before(`Object.defineProperty(process, "version", { value: "v20.20.2" })`)
      })

      assert.strictEqual(yield* service.exit, 1)
      assert.match(service.output(), /^metadata-batcher needs Node \d+\.\d+ or newer, and this is Node 20\.20\.2\.\n$/)
    })
  )

  it.live("flushes at SIGHUP, and stops its database [FT-21]", () =>
    Effect.gen(function* () {
      const folder = yield* dataFolder
      const service = yield* ServiceProcess.start(["serve", "--port", "0", "--data-dir", folder])
      yield* service.line(/^ready at/)
      const server = postmaster(folder)
      assert.isTrue(isAlive(server))

      yield* service.kill("SIGHUP")

      yield* service.line(/^stopped: 0 pending entries written, none lost$/)
      assert.strictEqual(yield* service.exit, 0)
      assert.isFalse(isAlive(server))
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it.live("goes on when the reader of its output has gone, and ends in order [FT-21]", () =>
    Effect.gen(function* () {
      const folder = yield* dataFolder
      const service = yield* ServiceProcess.start(
        ["serve", "--port", "0", "--data-dir", folder, "--demo-agents", "2"],
        {
          LOG_LEVEL: "debug"
        }
      )
      const [, url] = yield* service.line(/^ready at (\S+)/)
      const server = postmaster(folder)

      yield* service.closeOutput
      // each of them is logged, to nobody
      for (let time = 0; time < 20; time++) {
        assert.strictEqual((yield* HttpClient.get(`${url}/readyz`)).status, 200)
        assert.strictEqual((yield* HttpClient.get(`${url}/api/v2/users`)).status, 401)
      }
      yield* service.kill("SIGTERM")

      assert.strictEqual(yield* service.exit, 0)
      assert.isFalse(isAlive(server))
    }).pipe(Effect.provide([NodeFileSystem.layer, FetchHttpClient.layer]))
  )
})
