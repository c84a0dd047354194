import { create } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger, Metric, Queue, References } from "effect"
import { TestClock } from "effect/testing"
import * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import { Agent, BannerConfigSchema } from "../../src/wire/generated/agent_pb.ts"
import { Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import * as WireMetrics from "../../src/wire/WireMetrics.ts"
import { banners, coordinate, make, start, varint } from "./service.ts"
import * as Wire from "./support.ts"

const { connect, data, Flag, frame, Kind, open, packet, Type, unary } = Wire

const chunked = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, index) =>
    bytes.subarray(index * 65_536, (index + 1) * 65_536)
  )

describe("a transport", () => {
  it.effect("reads no further than the message that its handler has not taken [WI-40]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.bidirectional(Tailnet.method.coordinate, ({ receive }) =>
          Effect.andThen(Deferred.await(gate), Effect.forever(receive))
        )
      ])
      const { seen, send, session, until } = yield* connect(multiplexer, undefined)
      const message = (id: number) => {
        const body = Buffer.alloc(60_000)
        Buffer.from([0xa2, 0x06, ...varint(60_000 - 6)]).copy(body)
        return data(1, packet(Kind.message, 1, id, body))
      }
      const credits = () => seen.filter(({ length, type }) => type === Type.windowUpdate && length > 0)

      yield* send(open(1), data(1, packet(Kind.invoke, 1, 1, Wire.text(coordinate))))
      yield* send(...[2, 3, 4, 5].map(message), frame(Type.ping, Flag.syn, 0, 1))
      yield* until(() => seen.find(({ type }) => type === Type.ping))
      assert.deepStrictEqual(credits(), [])
      yield* Deferred.succeed(gate, undefined)
      yield* until(() => credits()[0])
      assert.isDefined(session)
    })
  )

  it.effect("is ended by what breaks the protocol, which is counted and logged once in ten seconds [WI-41]", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const invoke = packet(Kind.invoke, 1, 1, Wire.text(banners))
      const mistakes: ReadonlyArray<readonly [string, Uint8Array]> = [
        ["invoked twice", Buffer.concat([invoke, packet(Kind.invoke, 1, 2, Wire.text(banners))])],
        ["id went back", Buffer.concat([packet(Kind.invoke, 2, 5, Wire.text(banners)), packet(Kind.message, 2, 4)])],
        ["id went back", packet(Kind.invoke, 0, 1, Wire.text(banners))],
        ["kind changed within a packet", Wire.bytes("0601010041".replace("41", "") + "05010100")],
        ["unknown kind", packet(9, 1, 1)],
        ["unknown kind", packet(0, 1, 1)],
        ["message without a call", packet(Kind.message, 1, 1)],
        ["varint too long", Wire.bytes("05" + "ff".repeat(11))],
        ["varint too long", Wire.bytes("0501" + "ff".repeat(11))],
        ["data overflow", Wire.bytes("05010181808002")],
        ["malformed metadata", packet(Kind.invokeMetadata, 1, 1, Wire.bytes("0a04"))],
        ["malformed metadata", packet(Kind.invokeMetadata, 1, 1, Wire.text("what"))]
      ]
      yield* Effect.gen(function* () {
        const { ended, packets, send } = yield* connect((yield* make).multiplexer, "")
        for (const [index, [, mistake]] of mistakes.entries()) {
          const id = 2 * index + 1
          yield* send(open(id), data(id, mistake), data(id, Wire.bytes("00")))
          yield* ended(id)
        }
        yield* send(open(99), data(99, unary(banners)))
        yield* packets(99, 2)
      }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(String(message)))])))

      for (const [reason] of mistakes) {
        const { count } = yield* Metric.value(
          Metric.withAttributes(WireMetrics.violations, { scope: "stream", reason })
        )
        assert.strictEqual(count, mistakes.filter(([each]) => each === reason).length, reason)
      }
      assert.deepStrictEqual(logged, ["protocol of an agent broken"])
    }).pipe(
      Effect.provideService(References.MinimumLogLevel, "Info"),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  )

  it.effect("ignores a control packet that it does not know, and packets of calls that are over [WI-42]", () =>
    Effect.gen(function* () {
      const { packets, send } = yield* start

      yield* send(
        data(1, Wire.bytes("93010100")),
        data(1, unary(banners, undefined, 3)),
        data(1, packet(Kind.message, 3, 4)),
        data(1, packet(Kind.close, 3, 5)),
        data(1, Buffer.concat([packet(Kind.cancel, 4, 1), unary(banners, undefined, 5)]))
      )

      assert.deepStrictEqual(
        (yield* packets(1, 4)).map((words) => words.split(" ").slice(0, 2).join(" ")),
        ["message 3.1", "closeSend 3.2", "message 5.1", "closeSend 5.2"]
      )
    })
  )

  it.effect("drops a packet that is not complete when a later one comes [WI-42]", () =>
    Effect.gen(function* () {
      const { packets, send } = yield* start

      yield* send(data(1, Wire.bytes("020101027878")), data(1, unary(banners, undefined, 2)))

      assert.match((yield* packets(1, 2))[0]!, /^message 2.1/)
    })
  )

  it.effect("takes no more memory for what is not complete than the connection may [WI-43]", () =>
    Effect.gen(function* () {
      const { multiplexer } = yield* make
      const { ended, packets, send } = yield* connect(multiplexer, "", { maxHeldBytes: 300_000 })
      const begin = Buffer.concat([
        packet(Kind.invoke, 1, 1, Wire.text(banners)),
        Wire.bytes("050102ffff03"),
        Buffer.alloc(60_000)
      ])

      for (let id = 1; id < 11; id += 2) yield* send(open(id), data(id, begin))
      yield* ended(9)
      yield* send(frame(Type.windowUpdate, Flag.rst, 1, 0), open(11), data(11, begin), data(11, Buffer.alloc(5_535)))

      assert.match((yield* packets(11))[0]!, /^error/)
    })
  )

  it.effect("counts messages that wait to be taken against that memory [WI-43]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.bidirectional(Tailnet.method.coordinate, ({ receive }) =>
          Effect.andThen(Deferred.await(gate), Effect.forever(receive))
        )
      ])
      const { ended, send, seen } = yield* connect(multiplexer, undefined, { maxHeldBytes: 300_000 })
      const begin = Buffer.concat([
        packet(Kind.invoke, 1, 1, Wire.text(coordinate)),
        packet(Kind.message, 1, 2, Buffer.alloc(100_000))
      ])

      for (const id of [1, 3, 5]) yield* send(open(id), data(id, begin))
      yield* Effect.forkScoped(ended(5), { startImmediately: true })
      yield* Effect.yieldNow
      assert.notExists(seen.find(({ flags }) => (flags & Flag.fin) !== 0))
      yield* send(open(7), data(7, begin))
      yield* ended(7)
      // messages that were taken make room
      yield* Deferred.succeed(gate, undefined)
      yield* send(open(9), data(9, begin), frame(Type.ping, Flag.syn, 0, 1))
      assert.isUndefined(seen.find(({ flags, streamId }) => streamId === 9 && (flags & Flag.fin) !== 0))
    })
  )

  it.effect("counts the requests of calls that are not over against that memory [WI-43]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () => Effect.as(Deferred.await(gate), {}))
      ])
      const { ended, packets, send, seen } = yield* connect(multiplexer, undefined, { maxHeldBytes: 300_000 })
      // a text that nobody knows
      const request = Buffer.alloc(100_000)
      Buffer.from([0xa2, 0x06, ...varint(100_000 - 6)]).copy(request)
      const call = (id: number) => send(open(id), data(id, unary(banners, request)))
      const ends = () => seen.filter(({ flags }) => (flags & Flag.fin) !== 0).map(({ streamId }) => streamId)

      for (const id of [1, 3]) yield* call(id)
      yield* send(frame(Type.windowUpdate, Flag.rst, 1, 0))
      // a call that is cancelled makes room
      yield* call(5)
      yield* call(7)
      yield* call(9)
      yield* ended(9)
      assert.deepStrictEqual(ends(), [9])
      // and so does one that is over
      yield* Deferred.succeed(gate, undefined)
      for (const id of [3, 5, 7]) yield* packets(id, 2)
      yield* call(11)
      yield* packets(11, 2)

      assert.deepStrictEqual(ends(), [9])
    })
  )

  it.effect("takes one message of a call that streams to the client, and sees the end behind others [WI-32]", () =>
    Effect.gen(function* () {
      const { ended, interrupted, send } = yield* start
      const maps = "/coder.tailnet.v2.Tailnet/StreamDERPMaps"

      yield* send(
        data(1, Buffer.concat([packet(Kind.invoke, 1, 1, Wire.text(maps)), packet(Kind.message, 1, 2)])),
        data(1, Buffer.concat([packet(Kind.message, 1, 3), packet(Kind.message, 1, 4, Buffer.alloc(200_000))])),
        Wire.end(1)
      )

      yield* ended(1)
      assert.strictEqual(yield* Queue.take(interrupted), "StreamDERPMaps")
    })
  )

  it.effect("reads no further while its reply waits for the client's window [WI-40]", () =>
    Effect.gen(function* () {
      const calls = yield* Queue.unbounded<void>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () =>
          Effect.as(Queue.offer(calls, undefined), {
            announcementBanners: [create(BannerConfigSchema, { message: "x".repeat(200_000) })]
          })
        )
      ])
      const { packets, send } = yield* connect(multiplexer, undefined)

      yield* send(open(1), data(1, Buffer.concat([1, 2, 3, 4].map((id) => unary(banners, undefined, id)))))
      assert.strictEqual(yield* Queue.size(calls), 2)
      yield* send(frame(Type.windowUpdate, Flag.none, 1, 262_144))
      assert.strictEqual(yield* Queue.size(calls), 3)
      yield* send(frame(Type.windowUpdate, Flag.none, 1, 1_000_000))

      assert.lengthOf(yield* packets(1, 8), 8)
      assert.strictEqual(yield* Queue.size(calls), 4)
    })
  )

  it.effect("gives no credit to a client that takes no errors [WI-40]", () =>
    Effect.gen(function* () {
      const { seen, send, until } = yield* start
      const unknown = (id: number) => packet(Kind.invoke, id, 1, Wire.text("/x"))
      const invokes = Buffer.concat(Array.from({ length: 40_000 }, (_, index) => unknown(index + 1)))
      const credit = () => seen.filter(({ flags, type }) => type === Type.windowUpdate && flags === Flag.none).length

      // errors are longer than the calls: the client's window is full before the server's
      yield* send(data(1, invokes.subarray(0, 262_144)), frame(Type.ping, Flag.syn, 0, 1))
      yield* until(() => seen.find(({ type }) => type === Type.ping))
      assert.strictEqual(credit(), 0)
      yield* send(frame(Type.windowUpdate, Flag.none, 1, 10_000_000), frame(Type.ping, Flag.syn, 0, 2))
      yield* until(() => seen.find(({ length, type }) => type === Type.ping && length === 2))
      assert.isAbove(credit(), 0)
    })
  )

  it.effect("counts a message that no client sends, and fails its call alone [WI-38, WI-41]", () =>
    Effect.gen(function* () {
      const { packets, send } = yield* start
      const name = "/coder.agent.v2.Agent/UpdateStartup"
      const logs = "/coder.agent.v2.Agent/BatchCreateLogs"
      const repeated = Buffer.concat(Array.from({ length: 140_000 }, () => Wire.bytes("1200")))
      const broken: ReadonlyArray<readonly [string, Uint8Array]> = [
        [name, Wire.bytes("0a05")],
        [name, Wire.bytes("0a030a01ff")],
        [name, Wire.bytes("ffffffffff")],
        [logs, repeated]
      ]

      for (const [index, [name, request]] of broken.entries()) {
        const id = index + 1
        yield* send(...chunked(unary(name, request, id)).map((part) => data(1, part)))
        yield* packets(1)
      }

      const counted = (reason: string) =>
        Effect.map(
          Metric.value(Metric.withAttributes(WireMetrics.violations, { scope: "stream", reason })),
          ({ count }) => Number(count)
        )
      assert.strictEqual(yield* counted("malformed message"), 3)
      assert.strictEqual(yield* counted("too many fields"), 1)
      yield* send(data(1, unary(banners, undefined, 9)))
      assert.match((yield* packets(1, 2))[0]!, /^message 9.1/)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()), Effect.provide(Logger.layer([])))
  )

  it.effect("goes on with others when one is slow to read [WI-44]", () =>
    Effect.gen(function* () {
      const sent = yield* Queue.unbounded<number>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.serverStreaming(Tailnet.method.streamDERPMaps, (_, send) =>
          Effect.gen(function* () {
            for (let count = 0; ; count++) {
              yield* send({ regions: { 1: { regionName: "x".repeat(50_000) } } })
              yield* Queue.offer(sent, count)
            }
          })
        ),
        DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () => Effect.succeed({}))
      ])
      const { packets, send, until, seen } = yield* connect(multiplexer, undefined)

      yield* send(open(1), data(1, unary("/coder.tailnet.v2.Tailnet/StreamDERPMaps")), open(3), data(3, unary(banners)))
      yield* packets(3, 2)
      const before = yield* Queue.size(sent)
      yield* send(frame(Type.windowUpdate, Flag.none, 1, 100_000))
      yield* until(() => (seen.filter(({ streamId }) => streamId === 1).length > 8 + 3 ? true : undefined))

      assert.strictEqual(before, 5)
      assert.isAtLeast(yield* Queue.size(sent), 6)
    })
  )
})

describe("a session", () => {
  it.effect("returns why it has ended, and interrupts its calls [WI-45]", () =>
    Effect.gen(function* () {
      const { endReason, interrupted, send } = yield* start

      yield* send(data(1, unary("/coder.agent.v2.Agent/GetManifest")), Wire.bytes("ff0000000000000000000000"))

      assert.strictEqual(yield* Queue.take(interrupted), "GetManifest")
      assert.strictEqual(yield* endReason, "unknown version")
    })
  )

  it.effect("interrupts its calls when its scope closes, and says so [WI-45]", () =>
    Effect.gen(function* () {
      const { endReason, interrupted } = yield* Effect.scoped(
        Effect.gen(function* () {
          const { endReason, interrupted, packets, send } = yield* start
          yield* send(data(1, unary("/coder.agent.v2.Agent/GetManifest")), open(3), data(3, unary(banners)))
          yield* packets(3, 2)
          return { endReason, interrupted }
        })
      )

      assert.strictEqual(yield* Queue.take(interrupted), "GetManifest")
      assert.strictEqual(yield* endReason, "closed")
    })
  )

  it.effect("tells its client to open no more streams when it is to end [WI-13]", () =>
    Effect.gen(function* () {
      const { session, until, seen } = yield* start

      yield* session.drain

      const { length } = yield* until(() => seen.find(({ type }) => type === Type.goAway))
      assert.strictEqual(length, 0)
    })
  )

  it.effect("resets a stream that its client leaves open for five minutes after its end [WI-18]", () =>
    Effect.gen(function* () {
      const { ended, send, seen, until } = yield* start
      const findReset = () => seen.find(({ flags }) => (flags & Flag.rst) !== 0)
      let pings = 0
      const keepalive = Effect.gen(function* () {
        yield* TestClock.adjust("30 seconds")
        const length = pings++
        yield* send(frame(Type.ping, Flag.syn, 0, length))
        yield* until(() => seen.find(({ type, length: value }) => type === Type.ping && value === length))
      })
      yield* send(data(1, packet(9, 1, 1)))
      yield* ended(1)

      // the first one sees that the stream is closed on one side only
      for (let ping = 0; ping < 10; ping++) yield* keepalive
      assert.isUndefined(findReset())
      yield* keepalive

      assert.strictEqual((yield* until(findReset)).streamId, 1)
    })
  )

  it.effect("pings the client and receives its response [WI-11]", () =>
    Effect.gen(function* () {
      const { seen, send, session, until } = yield* start

      const ping = yield* Effect.forkChild(
        Effect.callback<void>((resume) => Effect.sync(session.pingUnsafe(() => resume(Effect.void)))),
        { startImmediately: true }
      )
      const { length } = yield* until(() => seen.find(({ type }) => type === Type.ping))
      yield* send(frame(Type.ping, Flag.ack, 0, length))

      yield* Fiber.join(ping)
    })
  )
})
