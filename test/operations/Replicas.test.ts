/** The figures that replicas share. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Replicas from "../../src/operations/Replicas.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"

const figures = { uptime: 1, agents: 2, updates: 3, rows: 4, pending: 5, problems: [] }

it.effect("keeps the last figures of the other replicas until they were silent for 16 s [RO-08]", () =>
  Effect.gen(function* () {
    const [a, b] = [yield* Replicas.make(1), yield* Replicas.make(2)]
    yield* TestClock.adjust(0)

    yield* a.publish({ ...figures, name: a.name, agents: 1 })
    yield* a.publish({ ...figures, name: a.name })
    yield* TestClock.adjust(0)
    assert.deepStrictEqual(yield* b.others, [{ ...figures, name: a.name }])
    assert.deepStrictEqual(yield* a.others, [])

    yield* TestClock.adjust("15 seconds")
    assert.strictEqual((yield* b.others).length, 1)
    yield* TestClock.adjust("2 seconds")
    assert.deepStrictEqual(yield* b.others, [])
  }).pipe(Effect.provide(PubSub.layerMemory))
)

it.effect("ignores what is not the figures of a replica [RO-08]", () =>
  Effect.gen(function* () {
    const replicas = yield* Replicas.make(1)
    yield* TestClock.adjust(0)

    yield* PubSub.PubSub.use(({ publish }) => publish(Replicas.channel, "{}"))
    yield* TestClock.adjust(0)

    assert.deepStrictEqual(yield* replicas.others, [])
  }).pipe(Effect.provide(PubSub.layerMemory))
)
