/** `metadata-batcher status` and other commands for programs, beside a service on the embedded database. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as Path from "node:path"
import * as World from "../faults/World.ts"
import { dataFolder } from "../support/folder.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

it.live(
  "status needs neither an address nor a token beside the embedded database, and commands print JSON for programs",
  () =>
    Effect.gen(function* () {
      const folder = yield* dataFolder
      const service = yield* ServiceProcess.start(["serve", "--port", "0", "--data-dir", folder])
      const [, port] = yield* service.line(/^ready at \S+:(\d+)/)
      const environment = { PORT: port!, DATA_DIR: folder }

      const status = Effect.tap(ServiceProcess.start(["status"], environment), ({ exit }) => exit)
      // on a busy machine this may be so at the start, and is then shown for half a minute
      const isBusy = (output: string) => output.includes("waited over a second for the database")
      const lines = yield* World.settle(status, ({ output }) => !isBusy(output()))
      assert.strictEqual(yield* lines.exit, 0)
      assert.match(lines.output(), /^healthy, up for .*\n {2}agents connected +0\n/)

      const json = yield* ServiceProcess.start(["status", "--json"], environment)
      assert.strictEqual(yield* json.exit, 0)
      assert.deepInclude(JSON.parse(json.output()), { problems: [] })

      const token = readFileSync(Path.join(folder, "admin-token"), "utf8").trim()
      const flags = "--agents 2 --keys 3 --metadata-only --ramp-up 100ms --interval 100ms --duration 3s --json".split(
        " "
      )
      const simulation = yield* ServiceProcess.start(["simulate", ...flags], { ...environment, ADMIN_TOKEN: token })
      assert.strictEqual(yield* simulation.exit, 0)
      const totals = JSON.parse(simulation.output())
      assert.deepInclude(totals, { otherCalls: 0, errors: 0, failures: {} })
      assert.isAbove(totals.reports, 0)

      const stranger = yield* ServiceProcess.start(["status", "--token", "of nobody"], environment)
      assert.strictEqual(yield* stranger.exit, 2)
    }).pipe(Effect.provide(NodeFileSystem.layer))
)
