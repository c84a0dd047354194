/**
 * Every call of the agent API, made by the Go client of `test/wire/go`, against the same calls over the contract in JSON:
 * what they leave behind, and the secrets that they return.
 */
import { create, toJson } from "@bufbuild/protobuf"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, FileSystem, Redacted } from "effect"
import * as Path from "node:path"
import { Directory } from "../../src/admin/Directory.ts"
import { type JsonObject, toMessage } from "../../src/agentapi/wire/Conversion.ts"
import { Agent, ManifestSchema } from "../../src/wire/generated/agent_pb.ts"
import * as AgentClient from "../support/agent.ts"
import * as Traces from "../support/agentTraces.ts"
import * as People from "../support/directory.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Service from "../support/service.ts"
import * as GoClient from "./goClient.ts"

const target = { env_name: "NPM_TOKEN", file_path: "~/.npmrc" }

const title = "every call of a stock client"

describe.skipIf(!GoClient.hasGo)(GoClient.hasGo ? title : `${title} (skipped: needs go)`, () => {
  layer(Service.layerWith(Traces.settings), { excludeTestServices: true })((it) => {
    for (const { args, release } of GoClient.releases) {
      it.effect(
        `gets the secrets, leaves the rows and publishes the events of the contract in JSON, with dRPC ${release}`,
        () =>
          Effect.gen(function* () {
            const fs = yield* FileSystem.FileSystem
            const [json, go] = [yield* Traces.prepare(), yield* Traces.prepare()]
            const { putSecret } = yield* Directory
            for (const { owner } of [json, go]) {
              yield* putSecret(owner.username, "npm", { ...target, value: Redacted.make("opensesame ä") })
            }
            const { secrets } = yield* (yield* AgentClient.client(json.url, People.showing(json.token))).GetManifest({})
            const manifest = create(ManifestSchema, {
              secrets: secrets.map(({ env_name, file_path, value }) => ({
                envName: env_name,
                filePath: file_path,
                value: Redacted.value(value)
              }))
            })
            assert.lengthOf(manifest.secrets, 1)
            const calls = Traces.tags.map((tag) => {
              const { input } = Agent.methods.find(({ name }) => name === tag)!
              const request = toJson(input, toMessage(input, go.requests[tag] as JsonObject))
              return {
                method: tag,
                request,
                ...(tag === "GetManifest" ? { response: toJson(ManifestSchema, manifest) } : {})
              }
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
