import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { AgentClient } from "../../src/agentapi/AgentClient.ts"
import * as Client from "../../src/agentapi/AgentClient.ts"
import { MetadataBatcher } from "../../src/metadata/MetadataBatcher.ts"
import * as People from "../support/directory.ts"
import { samples } from "../support/metadata.ts"
import * as Service from "../support/service.ts"

layer(Service.layer, { excludeTestServices: true })("the client for programs that report", (it) => {
  it.effect("connects with an address and a token, and makes the calls of an agent [WI-79]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      for (const show of [Redacted.value, (token: Redacted.Redacted<string>) => token]) {
        const { id, token } = yield* People.agent("cpu")

        const manifest = yield* AgentClient.use((client) =>
          Effect.andThen(
            client.BatchUpdateMetadata({ metadata: [{ key: "cpu", result: { value: "42 %" } }] }),
            client.GetManifest({})
          )
        ).pipe(Effect.provide(Client.layer({ url, token: show(token) })))
        yield* MetadataBatcher.use((batcher) => batcher.flush)

        assert.strictEqual(manifest.agent_id, id)
        assert.strictEqual((yield* samples(id))["cpu"]![0], "42 %")
      }
    })
  )
})
