/** What a newcomer does: start it with nothing, look, stop it, and start it again. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { emptyFolder } from "../support/folder.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

const serve = (dataDir: string) =>
  ServiceProcess.start(["serve", "--port", "0", "--demo-agents", "3", "--data-dir", dataDir])

/** The first event of a stream of server-sent events. */
const firstEvent = (url: string) =>
  Effect.tryPromise(async (signal) => {
    const response = await fetch(url, { signal })
    let text = ""
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      if (text.includes("\n\n")) break
    }
    return { status: response.status, type: response.headers.get("content-type"), text }
  })

layer(NodeFileSystem.layer, { excludeTestServices: true })("the service on its embedded database", (it) => {
  it.effect("shows simulated agents and a watch that streams, stops in order, and starts again on its data", () =>
    Effect.gen(function* () {
      const dataDir = yield* emptyFolder
      for (const isFirst of [true, false]) {
        const service = yield* serve(dataDir)
        const [, watch] = yield* service.line(/curl -N '([^']+)'/)
        assert.strictEqual(service.output().includes("administrator's token"), isFirst)

        const { status, text, type } = yield* firstEvent(watch!)
        assert.deepStrictEqual([status, type], [200, "text/event-stream"])
        assert.match(text, /^event: data\ndata: \[\{"result":/)

        const [, connected, written] = yield* service.line(/(\d+) of 3 agents connected.* (\d+) entries written/)
        assert.deepStrictEqual([connected, Number(written) > 0], ["3", true])
        yield* service.kill("SIGINT")
        assert.strictEqual(yield* service.exit, 0)
        assert.match(service.output(), /stopped: \d+ pending entries written, none lost/)
      }
    })
  )

  it.effect("says so when another instance runs on its data", () =>
    Effect.gen(function* () {
      const dataDir = yield* emptyFolder
      const first = yield* serve(dataDir)
      yield* first.line(/^ready/)

      const second = yield* serve(dataDir)
      assert.strictEqual(yield* second.exit, 1)
      assert.match(second.output(), new RegExp(`another instance \\(process \\d+\\) is running on ${dataDir}`))
    })
  )
})
