/** The limits of a stream at their exact values, and what its end gives back. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { start } from "./service.ts"
import * as Wire from "./support.ts"
import { initialWindow as window } from "../../src/wire/YamuxFrame.ts"

const { data, Flag, frame, inWords, Kind, open, packet, record, Type, unary } = Wire

const opened = (options?: Parameters<typeof record>[0]) => {
  const recorded = record(options)
  recorded.session.receive(Buffer.concat([open(1), open(3)]))
  recorded.take()
  const { received, session, streams } = recorded
  const [one, other] = [streams.get(1)!, streams.get(3)!]
  received.length = 0
  return {
    ...recorded,
    one,
    other,
    /** The frames that are sent now. */
    sentNow: () => {
      session.flush()
      return recorded.take().map(inWords)
    }
  }
}

describe("a stream", () => {
  it("ends behind the last part of a frame with an end, however it is split [WI-17]", () => {
    const { received, session } = opened()
    const last = data(1, Wire.bytes("0102030405"), Flag.fin)

    for (const part of [last.subarray(0, 13), last.subarray(13, 15), last.subarray(15)]) session.receive(part)

    assert.deepStrictEqual(received, ["1 data 1", "1 data 2", "1 data 2", "1 ended"])
  })

  it("gives back what it has queued when it is reset by either side [WI-21]", () => {
    const { ended, one, other, session } = opened({ maxQueuedBytes: 1_000 })
    one.write(new Uint8Array(window + 1_000))
    session.receive(frame(Type.windowUpdate, Flag.rst, 1, 0))
    other.write(new Uint8Array(window + 1_000))
    other.reset()
    session.receive(open(5))

    assert.deepStrictEqual(ended, [])
  })

  it("may queue as many bytes as the session may hold, and one more ends the session [WI-21]", () => {
    const { ended, one, sentNow, session } = opened({ maxQueuedBytes: 1_000 })
    assert.isFalse(one.write(new Uint8Array(window + 1_000)))
    sentNow()
    session.receive(frame(Type.windowUpdate, Flag.none, 1, 1))
    one.write(new Uint8Array(1))
    assert.deepStrictEqual(ended, [])

    one.write(new Uint8Array(1))
    assert.deepStrictEqual(ended, ["queue full"])
  })

  it("gives credit at half a window, and none after an end or a reset [WI-12]", () => {
    const { one, other, sentNow, session } = opened()
    one.consume(window / 2 - 1)
    assert.deepStrictEqual(sentNow(), [])
    one.consume(1)
    assert.deepStrictEqual(sentNow(), [`window 1 ${window / 2}`])
    one.consume(window / 2 - 1)
    assert.deepStrictEqual(sentNow(), [])

    one.end()
    assert.deepStrictEqual(sentNow(), ["window FIN 1 0"])
    one.consume(window)
    session.receive(Wire.end(3))
    other.consume(window)
    assert.deepStrictEqual(sentNow(), [])
  })

  it("takes as many bytes as its window has, and one more breaks the protocol [WI-20]", () => {
    const { ended, received, session } = opened()
    session.receive(data(1, new Uint8Array(window)))
    assert.deepStrictEqual([received, ended], [[`1 data ${window}`], []])

    session.receive(data(1, new Uint8Array(1)))
    assert.deepStrictEqual(ended, ["window exceeded"])
  })

  it("writes at once what one frame and the window hold, and says so", () => {
    const { one, sentNow, session } = opened()
    const most = 32_768 - 12
    assert.isTrue(one.write(new Uint8Array(most)))
    assert.deepStrictEqual(sentNow(), [`data 1 ${most}`])
    assert.isTrue(one.write(new Uint8Array(most + 1)))
    assert.deepStrictEqual(sentNow(), [`data 1 ${most}`, "data 1 1"])
    assert.isTrue(one.write(new Uint8Array(window - 2 * most - 1)))
    assert.isFalse(one.write(new Uint8Array(1)))
    sentNow()

    session.receive(frame(Type.windowUpdate, Flag.none, 1, 2))
    assert.deepStrictEqual(sentNow(), ["data 1 1"])
    assert.isTrue(one.write(new Uint8Array(1)))
    assert.isFalse(one.write(new Uint8Array(1)))
  })

  it("sends one reset, and nothing after a reset or an end", () => {
    const { one, other, received, sentNow } = opened()
    one.reset()
    one.reset()
    assert.isTrue(one.write(new Uint8Array(window + 1)))
    one.end()
    other.end()
    assert.isTrue(other.write(new Uint8Array(window + 1)))

    assert.deepStrictEqual(sentNow(), ["window RST 1 0", "window FIN 3 0"])
    assert.deepStrictEqual(received, ["1 reset"])
  })
})

describe("a call", () => {
  it.effect("goes on when the client cancels another one that it never made [WI-42]", () =>
    Effect.gen(function* () {
      const { log, packets, send } = yield* start
      const stats = unary("/coder.agent.v2.Agent/UpdateStats")
      yield* send(data(1, stats), data(1, packet(Kind.cancel, 2, 1)), data(1, packet(Kind.close, 3, 1)))

      yield* Deferred.succeed(log, undefined)

      assert.match((yield* packets(1, 2))[0]!, /^message 1\.1/)
    })
  )
})
