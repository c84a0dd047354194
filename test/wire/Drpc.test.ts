import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Logger, Option, Queue } from "effect"
import * as DrpcFrame from "../../src/wire/DrpcFrame.ts"
import * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import { Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import { banners, coordinate, make, start, varint } from "./service.ts"
import * as Wire from "./support.ts"

const { connect, data, end, Flag, frame, Kind, open, packet, Type, unary } = Wire

interface Recorded {
  readonly name: string
  readonly events: ReadonlyArray<Wire.Event & { readonly bytes?: number; readonly head?: string }>
}
const recorded = (name: string): Recorded =>
  Wire.vectors("drpc").vectors.find((vector: Recorded) => vector.name.startsWith(name))
/** The bytes of the recorded client, body by body; those that are summed up are made again. */
const clientOf = (name: string) => recorded(name).events.filter(({ dir }) => dir === "c2s")
const serverOf = (name: string) =>
  Wire.packets(
    recorded(name)
      .events.filter(({ dir }) => dir === "s2c")
      .map(Wire.bytesOf)
  ).map(Wire.packetInWords)

describe("the recorded calls", () => {
  for (const name of [
    "unary ok",
    "unary, plain error",
    "unary, error with code 12",
    "unary with invoke metadata",
    "two unary calls on one transport"
  ]) {
    it.effect(`get the recorded responses: ${name} [WI-30]`, () =>
      Effect.gen(function* () {
        const { packets, send, ended } = yield* start
        const expected = serverOf(name)

        yield* send(...clientOf(name).map((event) => data(1, Wire.bytesOf(event))), end(1))

        assert.deepStrictEqual(yield* packets(1, expected.length), expected)
        yield* ended(1)
      })
    )
  }

  it.effect("gets code 12 for a name that nobody has registered [WI-31]", () =>
    Effect.gen(function* () {
      const { packets, send } = yield* start

      yield* send(...clientOf("unknown rpc").map((event) => data(1, Wire.bytesOf(event))))

      assert.deepStrictEqual(yield* packets(1), ["error 1.1 12 Unimplemented"])
    })
  )

  it.effect("streams until the client closes, cancels or hangs up, and sends nothing more [WI-32]", () =>
    Effect.gen(function* () {
      for (const name of [
        "server streaming, client closes",
        "server streaming, client context",
        "client with SoftCancel"
      ]) {
        const { ended, interrupted, packets, seen, send } = yield* start
        const [first] = serverOf(name)
        const events = clientOf(name)

        yield* send(...events.slice(0, 2).map((event) => data(1, Wire.bytesOf(event))))
        assert.deepStrictEqual(yield* packets(1), [first])
        yield* send(...events.slice(2).map((event) => data(1, Wire.bytesOf(event))), end(1))

        assert.strictEqual(yield* Queue.take(interrupted), "StreamDERPMaps")
        yield* ended(1)
        assert.strictEqual(
          Wire.packets(seen.filter(({ type }) => type === Type.data).map(({ body }) => body)).length,
          1
        )
      }
    })
  )

  it.effect("takes messages both ways, and closes at the client's word [WI-33]", () =>
    Effect.gen(function* () {
      const { packets, send } = yield* start
      const [hello, bye] = clientOf("bidirectional")

      yield* send(data(1, Wire.bytesOf(hello!)))
      const [answer] = yield* packets(1)
      yield* send(data(1, Wire.bytesOf(bye!)))

      assert.match(answer!, /^message 1.1 12/)
      assert.deepStrictEqual(yield* packets(1), ["close 1.2"])
    })
  )

  it.effect("takes a message in frames of 64 KiB, up to 4 MiB, and ends the stream of a larger one [WI-34]", () =>
    Effect.gen(function* () {
      for (const [size, isTaken] of [
        [200_000, true],
        [4_194_304, true],
        [4_194_305, false]
      ] as const) {
        const { ended, logs, packets, send } = yield* start
        const name = Wire.text("/coder.agent.v2.Agent/BatchCreateLogs")
        // an unknown field of the message takes all of it
        const body = Buffer.alloc(size)
        Buffer.from([0xa2, 0x06, ...varint(size - 6)]).copy(body)

        yield* send(
          data(
            1,
            Buffer.concat([packet(Kind.invoke, 1, 1, name), packet(Kind.message, 1, 2, body)]).subarray(0, 200_000)
          )
        )
        const rest = Buffer.concat([packet(Kind.invoke, 1, 1, name), packet(Kind.message, 1, 2, body)]).subarray(
          200_000
        )
        for (let offset = 0; offset < rest.length; offset += 131_072) {
          yield* send(data(1, rest.subarray(offset, offset + 131_072)))
        }

        if (isTaken) {
          assert.deepStrictEqual(yield* packets(1, 2), ["message 1.1", "closeSend 1.2"])
          assert.strictEqual(yield* Queue.size(logs), 1)
        } else {
          yield* ended(1)
          assert.strictEqual(yield* Queue.size(logs), 0)
        }
      }
    })
  )
})
describe("a call", () => {
  it.effect("gets what belongs to its connection [WI-30]", () =>
    Effect.gen(function* () {
      const { packets, send } = yield* start

      yield* send(data(1, unary("/coder.agent.v2.Agent/ListSubAgents")))

      assert.deepStrictEqual(yield* packets(1, 2), ["message 1.1 0a0a0a08616e206167656e74", "closeSend 1.2"])
    })
  )

  it.effect("gets its response in one message of the connection with its acknowledgement [WI-35]", () =>
    Effect.gen(function* () {
      const { multiplexer } = yield* make
      const { packets, send, seen } = yield* connect(multiplexer, "")

      yield* send(open(1), data(1, unary(banners)), open(3), data(3, unary(banners, undefined, 1)))
      yield* packets(1, 2)

      assert.deepStrictEqual(
        seen.map(({ flags, streamId, type }) => [type, flags, streamId]),
        [
          [Type.data, Flag.ack, 1],
          [Type.data, Flag.ack, 3]
        ]
      )
    })
  )

  it.effect("gets its response later when it takes longer, and others go on meanwhile [WI-36]", () =>
    Effect.gen(function* () {
      const { log, packets, send } = yield* start

      yield* send(data(1, unary("/coder.agent.v2.Agent/UpdateStats")), open(3), data(3, unary(banners)))
      assert.match((yield* packets(3, 2))[0]!, /^message 1.1 0a0f/)
      yield* Deferred.succeed(log, undefined)

      assert.deepStrictEqual(yield* packets(1, 2), ["message 1.1", "closeSend 1.2"])
    })
  )

  it.effect("is interrupted by the end or the reset of its stream, by a close and by the next call [WI-37]", () =>
    Effect.gen(function* () {
      const manifest = unary("/coder.agent.v2.Agent/GetManifest")
      for (const cancel of [
        end(1),
        frame(Type.windowUpdate, Flag.rst, 1, 0),
        data(1, packet(Kind.close, 1, 4)),
        data(1, packet(Kind.cancel, 1, 4)),
        data(1, packet(Kind.error, 1, 4, DrpcFrame.encodeError(0, "no"))),
        data(1, unary(banners, undefined, 2))
      ]) {
        const { interrupted, send } = yield* start

        yield* send(data(1, manifest), cancel)

        assert.strictEqual(yield* Queue.take(interrupted), "GetManifest")
      }
    })
  )

  it.effect("fails alone when its message is none of its type or is missing [WI-38]", () =>
    Effect.gen(function* () {
      const { packets, send } = yield* start
      const broken = [Wire.bytes("0a05"), Wire.bytes("0a01ff"), Wire.bytes("0f"), Wire.bytes("0affffffff0f")]

      for (const [index, body] of broken.entries()) {
        yield* send(data(1, unary("/coder.agent.v2.Agent/UpdateStartup", body, index + 1)))
        assert.match(
          (yield* packets(1))[0]!,
          /^error \d\.1 0 the message is no coder\.agent\.v2\.UpdateStartupRequest$/
        )
      }
      yield* send(data(1, Buffer.concat([packet(Kind.invoke, 9, 1, Wire.text(banners)), packet(Kind.closeSend, 9, 2)])))

      assert.deepStrictEqual(yield* packets(1), ["error 9.1 0 the call has no message"])
    })
  )

  it.effect("hides a defect from the client, and logs it [WI-39]", () =>
    Effect.gen(function* () {
      const logged: Array<unknown> = []
      const { packets, send } = yield* Effect.provide(
        start,
        Logger.layer([Logger.make(({ cause }) => logged.push(cause))])
      )

      yield* send(data(1, unary("/coder.agent.v2.Agent/UpdateLifecycle")))

      assert.deepStrictEqual(yield* packets(1), ["error 1.1 0 internal error"])
      assert.strictEqual(logged.length, 1)
    })
  )

  it.effect("deals with a message that it has taken before the client's close interrupts it [WI-33]", () =>
    Effect.gen(function* () {
      const taken = yield* Queue.unbounded<string>()
      const gate = yield* Deferred.make<void>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.bidirectional(Tailnet.method.coordinate, ({ receive }) =>
          Effect.forever(
            Effect.flatMap(receive, (request) =>
              Effect.andThen(
                Deferred.await(gate),
                Queue.offer(taken, Option.isNone(request) ? "end" : `${request.value.addTunnel?.id.length}`)
              )
            )
          ).pipe(Effect.onInterrupt(() => Queue.offer(taken, "interrupted")))
        )
      ])
      const { ended, send } = yield* connect(multiplexer, undefined)
      const tunnel = (id: number, size: number) =>
        packet(Kind.message, 1, id, Uint8Array.from([0x1a, size + 2, 0x0a, size, ...new Uint8Array(size)]))

      yield* send(
        open(1),
        data(1, packet(Kind.invoke, 1, 1, Wire.text(coordinate))),
        data(1, Buffer.concat([tunnel(2, 1), tunnel(3, 2), packet(Kind.close, 1, 4)])),
        end(1)
      )
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)

      assert.deepStrictEqual(yield* Queue.takeN(taken, 3), ["1", "2", "interrupted"])
      yield* ended(1)
    })
  )
})
