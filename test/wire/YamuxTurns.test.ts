/** A session with its defaults, and what one turn of it sends, drops and answers. */
import { assert, describe, it } from "@effect/vitest"
import { initialWindow as window } from "../../src/wire/YamuxFrame.ts"
import * as Wire from "./support.ts"

const { data, Flag, frame, inWords, open, record, Type } = Wire

describe("a session without options", () => {
  it("has 1 024 streams, and refuses a further one [WI-14]", () => {
    const { refused, session } = record()
    for (let id = 1; id <= 1_024; id++) session.receive(open(id))
    assert.deepStrictEqual([session.size, refused()], [1_024, 0])

    session.receive(open(1_025))
    assert.deepStrictEqual([session.size, refused()], [1_024, 1])
  })

  it("holds 16 MiB for the client, and ends with one byte more [WI-21]", () => {
    const { ended, session, streams } = record()
    session.receive(open(1))

    assert.isFalse(streams.get(1)!.write(new Uint8Array(window + 16_777_216)))
    assert.deepStrictEqual(ended, [])
    streams.get(1)!.write(new Uint8Array(1))
    assert.deepStrictEqual(ended, ["queue full"])
  })
})

describe("a turn", () => {
  it("sends what it has written when that is more than 128 KiB, before it has read all [WI-15]", () => {
    const pieces: Array<number> = []
    const { sent, session, streams } = record({}, (stream) => {
      for (let size = 0; size < 160_000; size += 20_000) {
        stream.write(new Uint8Array(20_000))
        pieces.push(sent.length)
      }
    })
    session.receive(open(1))
    streams.get(1)!.write(new Uint8Array(window + 1))
    session.flush()
    sent.length = 0

    session.receive(frame(Type.windowUpdate, Flag.none, 1, 1_000_000))

    // a byte that waited, and six pieces, are less than that
    assert.deepStrictEqual(pieces.slice(0, 6), [0, 0, 0, 0, 0, 0])
    assert.isAbove(pieces[6]!, 0)
  })

  it("drops the rest of a body whose stream was reset while it was read [WI-17]", () => {
    const { received, session, streams, take } = record()
    session.receive(open(1))
    const whole = data(1, new Uint8Array(10))

    session.receive(whole.subarray(0, 15))
    streams.get(1)!.reset()
    session.receive(Buffer.concat([whole.subarray(15), open(3)]))

    assert.deepStrictEqual(received, ["1 data 3", "1 reset"])
    assert.deepStrictEqual(take().map(inWords), ["window ACK 1 0", "window RST 1 0", "window ACK 3 0"])
  })
})

describe("pings of a session", () => {
  it("are each answered by their own value, once and with an acknowledgement [WI-11]", () => {
    const { session, take } = record()
    const answered: Array<string> = []
    for (const name of ["one", "two", "three"]) session.ping(() => answered.push(name))
    const [one, two, three] = take().map(({ length }) => length)
    const answer = (value: number, flags: number = Flag.ack) => session.receive(frame(Type.ping, flags, 0, value))

    answer(one!, Flag.none)
    answer(three!)
    answer(two!)
    answer(two!)

    assert.deepStrictEqual([answered, session.answers], [["three", "two"], 2])
    assert.deepStrictEqual(take(), [])
  })
})
