import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import * as Recording from "./recording.ts"
import * as Wire from "./support.ts"

describe("a whole recorded session", () => {
  for (const size of [1, 7, 100_000]) {
    it.effect(`gets the recorded packets on every stream, in reads of ${size} bytes [WI-50]`, () =>
      Effect.gen(function* () {
        const replay = yield* Wire.connect(DrpcMultiplexer.make(Recording.entries()), undefined)
        const all = Recording.sentIn(Recording.events)

        for (let offset = 0; offset < all.length; offset += size)
          yield* replay.send(all.subarray(offset, offset + size))

        yield* Recording.assertReplayed(replay)
      })
    )
  }
})
