/** The first minutes of a newcomer: start it with nothing, look, stop it, and start it again. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { emptyFolder } from "../support/folder.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

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

/** Watches what the service has printed the command for. */
const streams = Effect.fnUntraced(function* (service: ServiceProcess.ServiceProcess) {
  const [, url] = yield* service.line(/curl -N '([^']+)'/)
  const { status, text, type } = yield* firstEvent(url!)
  assert.deepStrictEqual([status, type], [200, "text/event-stream"])
  assert.match(text, /^event: data\ndata: \[\{"result":/)
})

/** Lets it write and end; none of what it was told to write is lost. */
const stops = Effect.fnUntraced(function* (service: ServiceProcess.ServiceProcess, signal: NodeJS.Signals) {
  yield* service.kill(signal)
  assert.strictEqual(yield* service.exit, 0)
  assert.match(service.output(), /stopped: \d+ pending entries written, none lost/)
})

/** A line of the README as a pattern: numbers may be others, and an ellipsis is anything. */
const likeness = (line: string) =>
  new RegExp(
    line
      .replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
      .replaceAll(/\d+/g, "\\d+")
      .replaceAll("…", ".*"),
    "m"
  )

layer(NodeFileSystem.layer, { excludeTestServices: true })("the service on its embedded database", (it) => {
  it.effect("shows what the README shows, stops in order, and starts again on its data", () =>
    Effect.gen(function* () {
      const dataDir = yield* emptyFolder
      const options = ["--port", "0", "--data-dir", dataDir]

      const first = yield* ServiceProcess.npmStart(options)
      yield* streams(first)
      const second = yield* ServiceProcess.start(["serve", ...options])
      assert.strictEqual(yield* second.exit, 1)
      assert.match(second.output(), new RegExp(`another instance \\(process \\d+\\) is running on ${dataDir}: end it`))
      yield* first.line(/20 of 20 agents connected.*entries written: [1-9]/)
      yield* stops(first, "SIGTERM")
      const [, shown] = /`npm start` shows:\n\n```\n(.*?)\n```/s.exec(readFileSync("README.md", "utf8"))!
      for (const line of shown!.split("\n")) assert.match(first.output(), likeness(line))

      const again = yield* ServiceProcess.start(["serve", "--demo-agents", "3", ...options])
      yield* streams(again)
      assert.notInclude(again.output(), "administrator's token")
      yield* stops(again, "SIGINT")
    })
  )
})
