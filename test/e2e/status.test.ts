/** `metadata-batcher status` beside a service on the embedded database. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { dataFolder } from "../support/folder.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

it.live("status needs neither an address nor a token beside the embedded database, and prints lines or JSON", () =>
  Effect.gen(function* () {
    const folder = yield* dataFolder
    const service = yield* ServiceProcess.start(["serve", "--port", "0", "--data-dir", folder])
    const [, port] = yield* service.line(/^ready at \S+:(\d+)/)
    const environment = { PORT: port!, DATA_DIR: folder }

    const lines = yield* ServiceProcess.start(["status"], environment)
    assert.strictEqual(yield* lines.exit, 0)
    assert.match(lines.output(), /^healthy, up for .*\n {2}agents connected +0\n/)

    const json = yield* ServiceProcess.start(["status", "--json"], environment)
    assert.strictEqual(yield* json.exit, 0)
    assert.deepInclude(JSON.parse(json.output()), { problems: [] })

    const stranger = yield* ServiceProcess.start(["status", "--token", "of nobody"], environment)
    assert.strictEqual(yield* stranger.exit, 2)
  }).pipe(Effect.provide(NodeFileSystem.layer))
)
