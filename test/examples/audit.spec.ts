/** The audit log under the clock of tests, over a database and files in memory. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import { Audit, AuditError, type AuditEvent, AuditFiles, AuditStore, layer, record } from "./audit.ts"

const event = (id: string): AuditEvent => ({ id, actor: "ada", action: "sign in" })
const ids = (events: ReadonlyArray<AuditEvent>) => events.map(({ id }) => id)

/** A database that rejects events without an actor, and is away when told so. */
const makeWorld = Effect.gen(function* () {
  const isAway = yield* Ref.make(false)
  const written: Array<AuditEvent> = []
  const rejected: Array<AuditEvent> = []
  const spilled: Array<AuditEvent> = []
  const insert = (events: ReadonlyArray<AuditEvent>) =>
    Effect.gen(function* () {
      if (yield* Ref.get(isAway)) return yield* new AuditError({ reason: "unavailable" })
      if (events.some(({ actor }) => actor === "")) return yield* new AuditError({ reason: "rejected" })
      written.push(...events)
    })
  const files: AuditFiles["Service"] = {
    keepRejected: (events) => Effect.sync(() => void rejected.push(...events)),
    spill: (events) => Effect.sync(() => void spilled.push(...events)),
    spilled: Effect.sync(() => [...spilled]),
    forget: Effect.sync(() => void spilled.splice(0))
  }
  const audit = Layer.provide(layer, [Layer.succeed(AuditStore, { insert }), Layer.succeed(AuditFiles, files)])
  return { isAway, written, rejected, spilled, audit }
})

it.effect("tells the caller when its event is written, and keeps the order over a failed write", () =>
  Effect.gen(function* () {
    const { audit, isAway, written } = yield* makeWorld
    yield* Effect.gen(function* () {
      yield* Ref.set(isAway, true)
      const one = yield* Effect.forkChild(record(event("1")), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      const two = yield* Effect.forkChild(record(event("2")), { startImmediately: true })
      assert.isUndefined(one.pollUnsafe())

      yield* Ref.set(isAway, false)
      yield* TestClock.adjust("1 second")
      yield* Effect.all([Fiber.join(one), Fiber.join(two)])

      assert.deepStrictEqual(ids(written), ["1", "2"])
    }).pipe(Effect.provide(audit))
  })
)

it.effect("makes a dead letter of a rejected event, and tells its caller", () =>
  Effect.gen(function* () {
    const { audit, rejected, written } = yield* makeWorld
    yield* Effect.gen(function* () {
      const good = yield* Effect.forkChild(record(event("1")), { startImmediately: true })
      const bad = yield* Effect.forkChild(Effect.flip(record({ ...event("2"), actor: "" })), { startImmediately: true })
      yield* TestClock.adjust("1 second")

      yield* Fiber.join(good)
      assert.strictEqual((yield* Fiber.join(bad))._tag, "Rejected")
      assert.deepStrictEqual([ids(written), ids(rejected)], [["1"], ["2"]])
    }).pipe(Effect.provide(audit))
  })
)

it.effect("spills what shutdown cuts off, and writes it first at the next start", () =>
  Effect.gen(function* () {
    const { audit, isAway, spilled, written } = yield* makeWorld
    const add = (id: string) => Audit.use(({ add }) => add([event(id)]))

    yield* Ref.set(isAway, true)
    const first = yield* Effect.forkChild(Effect.provide(Effect.andThen(add("1"), add("2")), audit))
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.join(first)
    assert.deepStrictEqual([ids(spilled), ids(written)], [["1", "2"], []])

    yield* Ref.set(isAway, false)
    yield* Effect.gen(function* () {
      yield* add("3")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([ids(spilled), ids(written)], [[], ["1", "2", "3"]])
    }).pipe(Effect.provide(audit))
  })
)
