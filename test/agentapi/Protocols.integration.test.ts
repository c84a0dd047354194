/** Every call of an agent over the contract in JSON, and over the original's protocol: what each of them leaves behind. */
import { assert, layer } from "@effect/vitest"
import type { DescMethodUnary } from "@bufbuild/protobuf"
import { Effect } from "effect"
import { type JsonObject, toMessage } from "../../src/agentapi/wire/Conversion.ts"
import { Agent as Proto } from "../../src/wire/generated/agent_pb.ts"
import * as Traces from "../support/agentTraces.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as WireAgent from "../support/wireAgent.ts"

layer(Service.layerWith(Traces.settings), { excludeTestServices: true })("the two protocols of an agent", (it) => {
  it.effect("leave the same rows and publish the same events, call by call [WI-80]", () =>
    Effect.gen(function* () {
      const [json, wire] = [yield* Traces.prepare(), yield* Traces.prepare()]
      const callJson = yield* Traces.connectJson(json)
      const { call } = yield* WireAgent.connect(wire.url, People.showing(wire.token))

      for (const tag of Traces.tags) {
        const method = Proto.methods.find(({ name }) => name === tag) as DescMethodUnary
        yield* callJson(tag)
        yield* call(method, toMessage(method.input, wire.requests[tag] as JsonObject))
        yield* Traces.flush

        assert.deepStrictEqual(yield* wire.rows, yield* json.rows, tag)
      }
      assert.isAbove((yield* json.rows).length, 10)

      const [ofJson, ofWire] = [yield* json.events, yield* wire.events]
      assert.deepStrictEqual(ofWire, ofJson)
      assert.isAbove(ofJson.flat().length, 5)
    })
  )
})
