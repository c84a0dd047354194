import { it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Client from "../../src/agentapi/AgentClient.ts"
import * as Reconnecting from "../support/reconnecting.ts"

const start = Reconnecting.make((url, onEnd) =>
  Layer.launch(Client.layer({ url, token: "any", onDisconnect: Effect.sync(onEnd) }))
)

it.effect("a client comes back half a second after each break, the tenth time as the first", () =>
  Effect.gen(function* () {
    const comesBack = yield* start
    for (let time = 1; time <= 10; time++) yield* comesBack("break", 400, 600)
  })
)

it.effect(
  "a client that is refused comes back after longer and longer pauses, up to five seconds, until it is not",
  () =>
    Effect.gen(function* () {
      const comesBack = yield* start

      for (const pause of [500, 750, 1_125, 1_687.5, 2_531.25, 3_796.875, 5_000, 5_000]) {
        yield* comesBack("refuse", Math.floor(0.8 * pause), Math.ceil(1.2 * pause))
      }
      yield* comesBack("break", 4_000, 6_000)
      yield* comesBack("break", 400, 600)
    })
)
