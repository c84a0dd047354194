/**
 * The Go client of `test/wire/go`, which is made of the libraries of stock agents, against the service on a real port and a
 * real Postgres: with the release of dRPC that stock agents are built with, and with the one of newer programs.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as GoClient from "./goClient.ts"

describe.skipIf(!GoClient.hasGo)(GoClient.hasGo ? "a stock client" : "a stock client (skipped: needs go)", () => {
  layer(Service.layerWith({ AGENT_MAX_CALL_RATE: "100000" }), { excludeTestServices: true })((it) => {
    for (const { args, release } of GoClient.releases) {
      it.effect(`finds all it needs, with dRPC ${release}`, () =>
        Effect.gen(function* () {
          const { url } = yield* Service.TestService
          const { token } = yield* People.agent("cpu")

          const tested = yield* GoClient.test(["-skip", "^TestPeers", ...args], {
            CODER_AGENT_URL: url,
            CODER_AGENT_TOKEN: Redacted.value(token)
          })

          assert.strictEqual(tested.code, 0, tested.output)
          assert.include(tested.output, "--- PASS: TestStart")
        })
      )
    }
  })
})
