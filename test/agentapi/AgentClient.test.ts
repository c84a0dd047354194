import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Client from "../../src/agentapi/AgentClient.ts"
import * as Reconnecting from "../support/reconnecting.ts"

const start = Reconnecting.make((url, onEnd) =>
  Layer.launch(Client.layer({ url, token: "any", onDisconnect: Effect.sync(onEnd) }))
)

/** The pauses between attempts that fail, in milliseconds. */
const pauses = [500, 750, 1_125, 1_687.5, 2_531.25, 3_796.875, 5_000, 5_000]

describe("a client", () => {
  it.effect("comes back half a second after each break of a connection that lasted, the tenth time as the first", () =>
    Effect.gen(function* () {
      const comesBack = yield* start
      yield* comesBack("break", 400, 600, "5 seconds")
      for (let time = 1; time <= 10; time++) yield* comesBack("break", 400, 600, "5 seconds")
    })
  )

  for (const treatment of ["refuse", "break"] as const) {
    it.effect(
      `comes back after longer and longer pauses, up to five seconds, from those that ${treatment} at once`,
      () =>
        Effect.gen(function* () {
          const comesBack = yield* start

          for (const pause of pauses) {
            yield* comesBack(treatment, Math.floor(0.8 * pause), Math.ceil(1.2 * pause), "4999 millis")
          }
          yield* comesBack("break", 4_000, 6_000, "5 seconds")
          yield* comesBack("break", 400, 600)
        })
    )
  }
})
