/**
 * Every call of the agent API, made by the Go client of `test/wire/go`, against the same calls over the contract in JSON:
 * what they leave behind.
 */
import { toJson } from "@bufbuild/protobuf"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, FileSystem, Redacted } from "effect"
import * as Path from "node:path"
import { type JsonObject, toMessage } from "../../src/agentapi/wire/Conversion.ts"
import { Agent } from "../../src/wire/generated/agent_pb.ts"
import * as Traces from "../support/agentTraces.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Service from "../support/service.ts"
import * as GoClient from "./goClient.ts"

const title = "every call of a stock client"

describe.skipIf(!GoClient.hasGo)(GoClient.hasGo ? title : `${title} (skipped: needs go)`, () => {
  layer(Service.layerWith(Traces.settings), { excludeTestServices: true })((it) => {
    for (const { args, release } of GoClient.releases) {
      it.effect(`leaves the rows and publishes the events of the contract in JSON, with dRPC ${release}`, () =>
        Effect.gen(function* () {
          const fs = yield* FileSystem.FileSystem
          const [json, go] = [yield* Traces.prepare(), yield* Traces.prepare()]
          const calls = Traces.tags.map((tag) => {
            const { input } = Agent.methods.find(({ name }) => name === tag)!
            return { method: tag, request: toJson(input, toMessage(input, go.requests[tag] as JsonObject)) }
          })
          const file = Path.join(yield* emptyFolder, "calls.json")
          yield* fs.writeFileString(file, JSON.stringify(calls))

          const callJson = yield* Traces.connectJson(json)
          yield* Effect.forEach(Traces.tags, callJson)
          const tested = yield* GoClient.test(["-run", "^TestCalls$", ...args], {
            CODER_AGENT_URL: go.url,
            CODER_AGENT_TOKEN: Redacted.value(go.token),
            CALLS: file
          })
          assert.include(tested.output, "--- PASS: TestCalls", tested.output)
          yield* Traces.flush

          const rows = yield* json.rows
          assert.deepStrictEqual(yield* go.rows, rows)
          assert.isAbove(rows.length, 10)
          const [ofJson, ofGo] = [yield* json.events, yield* go.events]
          assert.deepStrictEqual(ofGo, ofJson)
          assert.isAbove(ofJson.flat().length, 5)
        })
      )
    }
  })
})
