import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Keepalive from "../../src/wire/Keepalive.ts"
import * as Wire from "./support.ts"

const { Flag, frame, inWords, record, Type } = Wire

/** A session that is watched, and what a client does that answers its pings. */
const watched = Effect.fnUntraced(function* (keepalive: Keepalive.Keepalive) {
  const recording = record()
  yield* keepalive.watch(recording.session)
  const answer = () => {
    for (const { length, type } of recording.take()) {
      if (type === Type.ping) recording.session.receive(frame(Type.ping, Flag.ack, 0, length))
    }
  }
  return { ...recording, answer }
})

describe("the keepalive", () => {
  it.effect("pings a session every 30 seconds, and ends one that has not responded within 10 [WI-23]", () =>
    Effect.gen(function* () {
      const keepalive = yield* Keepalive.make()
      const alive = yield* watched(keepalive)
      const gone = yield* watched(keepalive)

      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual(alive.sent, [])
      yield* TestClock.adjust("1 second")
      alive.answer()
      assert.deepStrictEqual(gone.take().map(inWords), ["ping SYN 0 0"])
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(gone.ended, [])
      yield* TestClock.adjust("1 second")

      assert.deepStrictEqual(gone.ended, ["keepalive timeout"])
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(alive.ended, ["keepalive timeout"])
    })
  )

  it.effect("leaves a session alone that has responded to another ping since the last visit [WI-23]", () =>
    Effect.gen(function* () {
      const { answer, ended, session, take } = yield* watched(yield* Keepalive.make())

      for (let period = 0; period < 4; period++) {
        session.ping(() => {})
        answer()
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(take(), [])
      }

      assert.deepStrictEqual(ended, [])
    })
  )

  it.effect("forgets a session whose scope has closed [WI-23]", () =>
    Effect.gen(function* () {
      const keepalive = yield* Keepalive.make()
      const { sent } = yield* Effect.scoped(watched(keepalive))

      yield* TestClock.adjust("2 minutes")

      assert.deepStrictEqual(sent, [])
    })
  )
})
