/** A server of the libraries of stock agents, built from `test/bench/go/wire` where there is a Go to build it. */
import { Effect } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Path from "node:path"
import * as Go from "../Go.ts"
import type { Server } from "../report/servers.ts"

export const name = "a Go server"

const repository = Path.resolve(import.meta.dirname, "../../..")

/** The server as a contestant. Fails on a machine without Go. */
export const build = Effect.gen(function* () {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  yield* spawner.exitCode(
    ChildProcess.make("npx", ["buf", "generate", "src/wire/proto", "--template", "test/wire/go/buf.gen.yaml"], {
      cwd: repository,
      stderr: "inherit"
    })
  )
  const { program, version } = yield* Go.build(Path.join(Go.folder, "wire"), ["."])
  const server: Server = {
    name,
    kind: { program },
    protocol: "original",
    remark: `${version}, on all cores; the libraries of stock agents, which decode into a map; no tokens, no batcher`
  }
  return server
})
