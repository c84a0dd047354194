/** Calls that stream: what waits, what is cancelled while a handler is busy, and the memory of what has stalled. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Metric, Queue } from "effect"
import { TestClock } from "effect/testing"
import * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import { Agent } from "../../src/wire/generated/agent_pb.ts"
import { Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import * as WireMetrics from "../../src/wire/WireMetrics.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { banners, coordinate, start } from "./service.ts"
import * as Wire from "./support.ts"

const { connect, data, end, Flag, frame, Kind, open, packet, Type, unary } = Wire

const invoke = packet(Kind.invoke, 1, 1, Wire.text(coordinate))
const message = (id: number, size = 0) => packet(Kind.message, 1, id, filler(size))

/** A field that nobody knows, of this size in all. */
const filler = (size: number) => {
  if (size === 0) return Buffer.alloc(0)
  const body = Buffer.alloc(size)
  const rest = size - 6
  Buffer.from([0xa2, 0x06, (rest & 127) | 128, ((rest >> 7) & 127) | 128, ((rest >> 14) & 127) | 128, rest >> 21]).copy(
    body
  )
  return body
}

type Handle = Parameters<
  typeof DrpcMultiplexer.bidirectional<
    typeof Tailnet.method.coordinate.input,
    typeof Tailnet.method.coordinate.output,
    undefined
  >
>[1]

/** A client of a coordination that does what the test says, and of a call that is noted. */
const coordinating = Effect.fnUntraced(function* (handle: Handle, options?: Parameters<typeof connect>[2]) {
  const calls = yield* Queue.unbounded<void>()
  const multiplexer = DrpcMultiplexer.make<undefined>([
    DrpcMultiplexer.bidirectional(Tailnet.method.coordinate, handle),
    DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () => Effect.as(Queue.offer(calls, undefined), {}))
  ])
  return { calls, ...(yield* connect(multiplexer, undefined, options)) }
})

/** Takes no message. */
const waiting: Handle = ({ receive }) => Effect.andThen(Effect.never, receive)

const isEnded = (seen: ReadonlyArray<Wire.Frame>, streamId: number) =>
  seen.some((frame) => frame.streamId === streamId && (frame.flags & Flag.fin) !== 0)

describe("a call that streams", () => {
  it.effect("that fails while its error waits for the client's window holds up the next call [WI-40]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const error = new DrpcMultiplexer.DrpcError({ code: 0, message: "x".repeat(300_000) })
      let calls = 0
      const { packets, send, seen, until } = yield* coordinating(() =>
        Effect.suspend(() => (++calls === 1 ? Effect.andThen(Deferred.await(gate), Effect.fail(error)) : Effect.void))
      )
      yield* send(open(1), data(1, Buffer.concat([invoke, message(2)])))
      yield* send(data(1, packet(Kind.invoke, 2, 1, Wire.text(coordinate))))

      yield* Deferred.succeed(gate, undefined)
      yield* until(() => (seen.reduce((sum, { body }) => sum + body.length, 0) === 262_144 ? true : undefined))
      assert.strictEqual(calls, 1)
      yield* send(frame(Type.windowUpdate, Flag.none, 1, 262_144))
      assert.strictEqual(calls, 2)
      assert.deepStrictEqual((yield* packets(1, 2)).slice(1), ["close 2.1"])
    })
  )

  it.effect("that is cancelled while it sends sends nothing more, and is interrupted at its next message [WI-33]", () =>
    Effect.gen(function* () {
      const steps = yield* Queue.unbounded<string>()
      const note = (step: string) => Queue.offer(steps, step)
      const { send, seen, until } = yield* coordinating(({ receive, send }) =>
        Effect.gen(function* () {
          yield* receive
          yield* note("taken")
          yield* send({ error: "x".repeat(300_000) })
          yield* note("sent")
          yield* send({ error: "y" })
          yield* receive
          yield* note("received")
        }).pipe(Effect.onInterrupt(() => note("interrupted")))
      )
      yield* send(open(1), data(1, Buffer.concat([invoke, message(2)])))
      assert.strictEqual(yield* Queue.take(steps), "taken")
      yield* until(() => (seen.reduce((sum, { body }) => sum + body.length, 0) === 262_144 ? true : undefined))

      yield* send(data(1, packet(Kind.close, 1, 3)))
      assert.deepStrictEqual(yield* Queue.takeN(steps, 2), ["sent", "interrupted"])
      yield* send(frame(Type.windowUpdate, Flag.none, 1, 1_000_000), frame(Type.ping, Flag.syn, 0, 1))
      yield* until(() => seen.find(({ type }) => type === Type.ping))
      const bodies = seen.filter(({ type }) => type === Type.data).map(({ body }) => body)
      assert.lengthOf(Wire.packets(bodies), 1)
    })
  )

  for (const [name, ending] of [
    [
      "is reset",
      (client: { send: (...chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<unknown> }) =>
        client.send(frame(Type.windowUpdate, Flag.rst, 1, 0))
    ],
    [
      "has been closed by the client for two sweeps",
      (client: { send: (...chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<unknown> }) =>
        Effect.gen(function* () {
          yield* client.send(end(1))
          for (const value of [1, 2]) {
            yield* TestClock.adjust("15 seconds")
            yield* client.send(frame(Type.ping, Flag.syn, 0, value))
          }
        })
    ]
  ] as const) {
    it.effect(`is interrupted at once when its stream ${name}, although it deals with a message [WI-18]`, () =>
      Effect.gen(function* () {
        const steps = yield* Queue.unbounded<string>()
        const client = yield* coordinating(({ receive }) =>
          Effect.gen(function* () {
            yield* receive
            yield* Queue.offer(steps, "taken")
            return yield* Effect.never
          }).pipe(Effect.onInterrupt(() => Queue.offer(steps, "interrupted")))
        )
        yield* client.send(open(1), data(1, Buffer.concat([invoke, message(2), message(3)])))
        assert.strictEqual(yield* Queue.take(steps), "taken")

        yield* ending(client)
        assert.strictEqual(yield* Queue.take(steps), "interrupted")
      })
    )
  }

  it.effect("to the client fails when the client ends it without a message [WI-38]", () =>
    Effect.gen(function* () {
      const { packets, send } = yield* start
      const maps = packet(Kind.invoke, 1, 1, Wire.text("/coder.tailnet.v2.Tailnet/StreamDERPMaps"))

      yield* send(data(1, Buffer.concat([maps, packet(Kind.closeSend, 1, 2)])))

      assert.deepStrictEqual(yield* packets(1), ["error 1.1 0 the call has no message"])
    })
  )

  it.effect("both ways ends with the client's messages [WI-33]", () =>
    Effect.gen(function* () {
      const { packets, send } = yield* start

      yield* send(data(1, Buffer.concat([invoke, message(2), packet(Kind.closeSend, 1, 3)])))

      assert.match((yield* packets(1))[0]!, /^message 1\.1/)
      assert.deepStrictEqual(yield* packets(1), ["close 1.2"])
    })
  )
})

describe("a call of one message", () => {
  it.effect("is made once, although the client sends another message or ends it twice [WI-42]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const requests: Array<number> = []
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () =>
          Effect.andThen(
            Effect.sync(() => requests.push(1)),
            Effect.as(Deferred.await(gate), {})
          )
        )
      ])
      const { packets, send } = yield* connect(multiplexer, undefined)
      const named = packet(Kind.invoke, 1, 1, Wire.text(banners))
      yield* send(open(1), data(1, Buffer.concat([named, message(2), message(3), packet(Kind.closeSend, 1, 4)])))
      yield* send(data(1, Buffer.concat([message(5), packet(Kind.closeSend, 1, 6)])))
      yield* Deferred.succeed(gate, undefined)

      assert.deepStrictEqual(yield* packets(1, 2), ["message 1.1", "closeSend 1.2"])
      assert.deepStrictEqual(requests, [1])
    })
  )
})

describe("the memory of a connection", () => {
  it.effect("has room for bytes behind a message that waits, up to its bound [WI-43]", () =>
    Effect.gen(function* () {
      const { ended, send, seen } = yield* coordinating(waiting, { maxHeldBytes: 300_000 })
      for (const id of [1, 3, 5]) {
        yield* send(open(id), data(id, Buffer.concat([invoke, message(2)])))
        yield* send(data(id, message(3, 90_000)))
      }
      assert.isFalse(seen.some(({ streamId }) => isEnded(seen, streamId)))

      yield* send(open(7), data(7, Buffer.concat([invoke, message(2)])))
      yield* send(data(7, message(3, 90_000)))
      yield* ended(7)
      // the memory of that one is free again
      yield* send(open(9), data(9, Buffer.concat([invoke, message(2)])), frame(Type.ping, Flag.syn, 0, 1))
      assert.isFalse(isEnded(seen, 9))
    })
  )

  it.effect("keeps nothing of a stream that broke the protocol, nor of what came behind that [WI-43]", () =>
    Effect.gen(function* () {
      const { calls, ended, packets, send } = yield* coordinating(waiting, { maxHeldBytes: 200_000 })
      const broken = Buffer.concat([packet(9, 1, 1), unary(banners, filler(60_000), 2)])
      for (let id = 1; id < 20; id += 2) {
        yield* send(open(id), data(id, broken))
        yield* ended(id)
      }
      assert.strictEqual(yield* Queue.size(calls), 0)

      const call = unary(banners, filler(150_000))
      yield* send(open(21), data(21, call.subarray(0, 100_000)))
      yield* send(data(21, call.subarray(100_000)))
      yield* packets(21, 2)
      assert.strictEqual(yield* Queue.size(calls), 1)
    })
  )
})

describe("a session", () => {
  it.effect("is counted by the reason for its end if that is a fault, and is not if its client leaves", () =>
    Effect.gen(function* () {
      const ended = (...bytes: ReadonlyArray<Uint8Array>) =>
        Effect.gen(function* () {
          const { endReason, send } = yield* start
          yield* send(...bytes)
          return yield* endReason
        })
      const counted = (reason: string) =>
        Effect.map(
          Metric.value(Metric.withAttributes(WireMetrics.violations, { scope: "session", reason })),
          ({ count }) => Number(count)
        )

      assert.strictEqual(yield* ended(open(1)), "stream opened twice")
      assert.strictEqual(yield* ended(frame(Type.goAway, Flag.none, 0, 1)), "client gone away")
      assert.deepStrictEqual([yield* counted("stream opened twice"), yield* counted("client gone away")], [1, 0])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("ends one stream for too much memory, and none that goes on because of that [WI-43]", () =>
    Effect.gen(function* () {
      const ending = yield* Deferred.make<void>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () => Effect.as(Deferred.await(ending), {})),
        DrpcMultiplexer.unary(Agent.method.getManifest, () =>
          Effect.onInterrupt(Effect.never, () => Deferred.succeed(ending, undefined))
        )
      ])
      const client = yield* connect(multiplexer, undefined, { maxHeldBytes: 1_000 })
      yield* client.send(open(1), open(3), data(1, unary(banners)))
      yield* client.send(data(3, unary("/coder.agent.v2.Agent/GetManifest")))

      yield* client.send(data(3, Buffer.concat([Wire.bytes("050201ffff03"), Buffer.alloc(2_500)])))

      yield* client.ended(3)
      yield* client.packets(1, 2)
      yield* client.send(data(1, unary(banners, undefined, 2)))
      assert.match((yield* client.packets(1, 2))[0]!, /^message 2\.1/)
      const { count } = yield* Metric.value(
        Metric.withAttributes(WireMetrics.violations, { scope: "stream", reason: "memory full" })
      )
      assert.strictEqual(Number(count), 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("counts the streams that it refuses", () =>
    Effect.gen(function* () {
      const { send } = yield* coordinating(waiting, { maxStreams: 256 })

      yield* send(...Array.from({ length: 258 }, (_, index) => open(2 * index + 1)))

      assert.strictEqual((yield* Metric.value(WireMetrics.refusedStreams)).count, 2)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("logs the defect of a call with the name of the call [WI-39]", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      const { packets, send } = yield* start
      yield* send(data(1, unary("/coder.agent.v2.Agent/UpdateLifecycle")))
      yield* packets(1)

      assert.deepStrictEqual(
        records.map(({ annotations, level, message }) => ({ annotations, level, message })),
        [
          {
            level: "Error",
            message: "call failed with a defect",
            annotations: { call: "/coder.agent.v2.Agent/UpdateLifecycle" }
          }
        ]
      )
      assert.include(records[0]!.cause, "the secret of the house")
    }).pipe(collectLogs(records))
  })
})
