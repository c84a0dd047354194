import { it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import * as SimulatedAgent from "../../src/fleet/SimulatedAgent.ts"
import * as Work from "../../src/fleet/SimulatedWork.ts"
import * as Reconnecting from "../support/reconnecting.ts"

it.effect("a simulated agent comes back after about a second, the tenth time as the first [SL-05]", () =>
  Effect.gen(function* () {
    const comesBack = yield* Reconnecting.make((url, onEnd) =>
      SimulatedAgent.run({
        url,
        token: Redacted.make("any"),
        keys: Work.keys(1),
        interval: Duration.days(1),
        jitter: 0,
        metadataOnly: true,
        observer: { onConnect: () => {}, onDisconnect: onEnd, onCall: () => {}, onError: onEnd }
      })
    )

    for (let time = 1; time <= 10; time++) yield* comesBack(time % 5 === 0 ? "refuse" : "break", 800, 1_200)
  })
)
