/** Sessions under the clock of tests: what they count, when they sweep, what they log, and how they end. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, ErrorReporter, Metric, Queue } from "effect"
import { TestClock } from "effect/testing"
import * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import { Agent } from "../../src/wire/generated/agent_pb.ts"
import { Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { banners, coordinate, make, start } from "./service.ts"
import * as Wire from "./support.ts"

const { connect, data, end, Flag, frame, Kind, open, packet, Type, unary } = Wire

const ping = (value: number) => frame(Type.ping, Flag.syn, 0, value)

describe("a session", () => {
  it.effect("counts the frames and chunks that it takes, 128 of which count as a call [WI-53]", () =>
    Effect.gen(function* () {
      const { session } = yield* start

      assert.strictEqual(session.receive([ping(1), ping(2), ping(3)]), 6 / 128)
      assert.strictEqual(session.receive([Buffer.concat([ping(4), ping(5)])]), 3 / 128)
      assert.strictEqual(session.receive([ping(6).subarray(0, 5)]), 1 / 128)
      assert.strictEqual(session.receive([]), 0)
    })
  )

  it.effect("knows when its client last sent something that is no answer to a ping", () =>
    Effect.gen(function* () {
      const { send, session } = yield* start
      yield* TestClock.adjust("1 second")
      assert.strictEqual(session.heardAtUnsafe(), 0)
      yield* send(ping(1))
      assert.strictEqual(session.heardAtUnsafe(), 1_000)

      yield* TestClock.adjust("1 second")
      const answered: Array<string> = []
      session.pingUnsafe(() => answered.push("one"))
      const forget = session.pingUnsafe(() => answered.push("two"))
      forget()
      yield* send(frame(Type.ping, Flag.ack, 0, 0))
      assert.deepStrictEqual([answered, session.heardAtUnsafe()], [["one"], 1_000])
      // an answer to no ping is something else
      yield* send(frame(Type.ping, Flag.ack, 0, 1))
      assert.deepStrictEqual([answered, session.heardAtUnsafe()], [["one"], 2_000])
    })
  )

  it.effect("interrupts a call that leaves its message for two sweeps after the client's end [WI-18]", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.bidirectional(Tailnet.method.coordinate, () =>
          Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
        )
      ])
      const { ended, send } = yield* connect(multiplexer, undefined)
      const call = Buffer.concat([packet(Kind.invoke, 1, 1, Wire.text(coordinate)), packet(Kind.message, 1, 2)])
      yield* send(open(1), data(1, call), end(1))

      for (const seconds of [14, 1]) {
        yield* TestClock.adjust(`${seconds} seconds`)
        yield* send(ping(1))
        assert.isFalse(yield* Deferred.isDone(interrupted))
      }
      yield* TestClock.adjust("15 seconds")
      yield* send(ping(2))

      yield* Deferred.await(interrupted)
      yield* ended(1)
    })
  )

  it.effect("takes nothing any more when its client has broken the protocol [WI-20]", () =>
    Effect.gen(function* () {
      const { endReason, seen, send, session, until } = yield* start
      yield* send(open(1))
      assert.strictEqual(yield* endReason, "stream opened twice")
      yield* until(() => seen.find(({ type }) => type === Type.goAway))
      const { length } = seen

      assert.strictEqual(session.receive([ping(1), open(3)]), 2 / 128)
      yield* session.drain
      session.pingUnsafe(() => {})
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.length, length)
    })
  )

  it.effect("ends when the service itself fails, which is reported", () =>
    Effect.gen(function* () {
      const multiplexer = DrpcMultiplexer.make<undefined>([
        {
          name: banners,
          handler: {
            _tag: "Unary",
            handle: () => {
              throw new Error("a defect")
            }
          }
        }
      ])
      const defects: Array<unknown> = []
      const reporter = ErrorReporter.make(({ cause }) => void defects.push(Cause.squash(cause)))
      const { endReason, send } = yield* Effect.provide(
        connect(multiplexer, undefined),
        ErrorReporter.layer([reporter])
      )

      yield* send(open(1), data(1, unary(banners)))

      assert.strictEqual(yield* endReason, "failure of the service")
      assert.strictEqual(String(defects), "Error: a defect")
    })
  )

  it.effect("tells with each record of broken protocol how many were not logged, 10 seconds apart [WI-41]", () => {
    const records: Array<LogRecord> = []
    return Effect.gen(function* () {
      const { send } = yield* connect((yield* make).multiplexer, "")
      const breaking = (id: number) => send(open(id), data(id, packet(Kind.message, 1, 1)))

      yield* breaking(1)
      yield* breaking(3)
      yield* TestClock.adjust("9999 millis")
      yield* breaking(5)
      yield* TestClock.adjust("1 millis")
      yield* breaking(7)
      yield* send(open(9), open(9))
      yield* TestClock.adjust("10 seconds")

      const stream = { scope: "stream", reason: "message without a call" }
      assert.deepStrictEqual(records, [
        { level: "Warn", message: "protocol of an agent broken", annotations: { ...stream, unlogged: 0 } },
        { level: "Warn", message: "protocol of an agent broken", annotations: { ...stream, unlogged: 2 } }
      ])
    }).pipe(collectLogs(records), Effect.provideService(Metric.MetricRegistry, new Map()))
  })

  it.effect("runs calls with the services that its server was made with", () => {
    const Place = Context.Reference<string>("test/wire/Place", { defaultValue: () => "nowhere" })
    return Effect.gen(function* () {
      const places = yield* Queue.unbounded<string>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () =>
          Effect.as(
            Effect.flatMap(Place, (place) => Queue.offer(places, place)),
            {}
          )
        )
      ])
      const { send } = yield* connect(multiplexer, undefined).pipe(Effect.provideService(Place, "here"))

      yield* send(open(1), data(1, unary(banners)))

      assert.strictEqual(yield* Queue.take(places), "here")
    })
  })

  it.effect("gives back the memory of each call that is over, on a stream that goes on [WI-43]", () =>
    Effect.gen(function* () {
      const { multiplexer } = yield* make
      const { packets, send } = yield* connect(multiplexer, "", { maxHeldBytes: 100_000 })
      const filler = Buffer.concat([
        Buffer.from("a206", "hex"),
        Buffer.from([0xac, 0xd8, 0x83, 0x00]),
        Buffer.alloc(60_460)
      ])
      yield* send(open(1))
      for (let id = 1; id <= 10; id++) {
        const call = unary(banners, filler, id)
        // in parts, so that it waits for the rest
        yield* send(data(1, call.subarray(0, 30_000)))
        yield* send(data(1, call.subarray(30_000)))
        const [first] = yield* packets(1, 2)
        assert.match(first!, new RegExp(`^message ${id}\\.1`))
      }
    })
  )
})

describe("a call that is not over at once", () => {
  it.effect("gives its memory back when it is over, whether or not its stream goes on [WI-43]", () =>
    Effect.gen(function* () {
      const gates = yield* Queue.unbounded<void>()
      const multiplexer = DrpcMultiplexer.make<undefined>([
        DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () => Effect.as(Queue.take(gates), {}))
      ])
      const { packets, send } = yield* connect(multiplexer, undefined, { maxHeldBytes: 100_000 })
      const filler = Buffer.concat([Buffer.from("a206acd88300", "hex"), Buffer.alloc(60_460)])

      for (const id of [1, 3, 5]) {
        yield* send(open(id), data(id, unary(banners, filler)))
        yield* Queue.offer(gates, undefined)
        yield* packets(id, 2)
      }
    })
  )

  for (const [name, end] of [
    ["fails", Effect.fail(new DrpcMultiplexer.DrpcError({ code: 0, message: "too late" }))],
    ["succeeds", Effect.void]
  ] as const) {
    it.effect(`changes nothing for the next call when it ${name} after its cancellation [WI-37]`, () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const interrupted = yield* Deferred.make<void>()
        const multiplexer = DrpcMultiplexer.make<undefined>([
          DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () =>
            Effect.as(Effect.uninterruptible(Effect.andThen(Deferred.await(gate), end)), {})
          ),
          DrpcMultiplexer.unary(Agent.method.getManifest, () =>
            Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
          )
        ])
        const { seen, send, until } = yield* connect(multiplexer, undefined)
        const next = unary("/coder.agent.v2.Agent/GetManifest", undefined, 2)
        yield* send(open(1), data(1, unary(banners)), data(1, next))
        yield* Deferred.succeed(gate, undefined)
        yield* TestClock.adjust(0)

        yield* send(data(1, packet(Kind.cancel, 2, 4)), ping(1))

        yield* Deferred.await(interrupted)
        yield* until(() => seen.find(({ type }) => type === Type.ping))
        assert.isEmpty(seen.filter(({ type }) => type === Type.data))
      })
    )
  }
})

describe("the handlers of a service", () => {
  it.effect("are made for other connections, those of streams too", () =>
    Effect.gen(function* () {
      const { multiplexer } = yield* make
      const entries = [...multiplexer].map(([name, handler]) =>
        DrpcMultiplexer.contramap((connection: { readonly name: string }) => connection.name)({ name, handler })
      )
      const { packets, send } = yield* connect(DrpcMultiplexer.make(entries), { name: "mapped" })

      yield* send(open(1), data(1, unary("/coder.agent.v2.Agent/ListSubAgents")))
      assert.include((yield* packets(1, 2))[0], Buffer.from("mapped").toString("hex"))
      const body = Buffer.from("0a020a00", "hex")
      const call = [packet(Kind.invoke, 1, 1, Wire.text(coordinate)), packet(Kind.message, 1, 2, body)]
      yield* send(open(3), data(3, Buffer.concat(call)))
      assert.match((yield* packets(3))[0]!, /^message 1\.1/)
    })
  )

  it("have names of their own", () => {
    const entry = DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () => Effect.succeed({}))

    assert.strictEqual(entry.name, banners)
    assert.throws(() => DrpcMultiplexer.make([entry, entry]), `two handlers are registered for ${banners}`)
  })
})
