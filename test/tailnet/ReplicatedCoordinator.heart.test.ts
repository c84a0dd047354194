/** The heartbeats of a replica, and its judgement of the others. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import { ReplicaId } from "../../src/domain/Ids.ts"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import * as Seed from "../support/seed.ts"
import { newPeerId } from "./support.ts"

import { other, row } from "./coreSupport.ts"
import { isolated } from "../support/isolated.ts"
import { apart, levelsOf, logged, replica } from "./scriptedReplica.ts"

describe("the heart of a replica", () => {
  it.effect("beats at its start and every 2 seconds", () =>
    Effect.gen(function* () {
      const { callsOf, script } = yield* replica()
      assert.deepStrictEqual(script.calls, ["beat"])

      assert.strictEqual(yield* callsOf("beat", TestClock.adjust("1999 millis")), 0)
      assert.strictEqual(yield* callsOf("beat", TestClock.adjust("1 millis")), 1)
      assert.strictEqual(yield* callsOf("beat", TestClock.adjust("10 seconds")), 5)
    })
  )

  it.effect(
    "takes a replica for dead after 6 seconds of silence, and finds it again with its next heartbeat [TC-37]",
    () =>
      Effect.gen(function* () {
        const { agent, client, script } = yield* apart()
        const after = (ageMillis: number) => {
          script.others = [{ id: other, ageMillis }]
          return Effect.andThen(TestClock.adjust("2 seconds"), client.received)
        }

        assert.deepStrictEqual(yield* after(6_000), [])
        assert.deepStrictEqual(yield* after(6_001), [`lost ${agent} (lost)`])
        assert.deepStrictEqual(yield* after(6_001), [])
        assert.deepStrictEqual(yield* after(0), [`node ${agent} a1 (found)`])
        script.others = []
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* client.received, [`lost ${agent} (lost)`])
      })
  )

  it.effect("looks again 50 ms after the silence of another one would be too long, at most ten times a second", () =>
    Effect.gen(function* () {
      const { callsOf, script } = yield* replica()
      const nextAfter = Effect.fnUntraced(function* (...ages: ReadonlyArray<number>) {
        script.others = ages.map((ageMillis) => ({ id: Seed.newId(ReplicaId), ageMillis }))
        // up to the beat that reads these ages
        let beats = 0
        while (beats === 0) beats = yield* callsOf("beat", TestClock.adjust("10 millis"))
        let millis = 0
        for (beats = 0; beats === 0; millis += 10) beats = yield* callsOf("beat", TestClock.adjust("10 millis"))
        return millis
      })

      assert.strictEqual(yield* nextAfter(0), 2_000)
      assert.strictEqual(yield* nextAfter(0, 5_000, 4_500), 1_050)
      assert.strictEqual(yield* nextAfter(5_950), 100)
      assert.strictEqual(yield* nextAfter(5_900), 150)
      assert.strictEqual(yield* nextAfter(6_000), 100)
      assert.strictEqual(yield* nextAfter(6_001, 60_000), 2_000)
    })
  )

  it.effect("takes nobody for dead before it has listened for 6 seconds, if it could not read heartbeats itself", () =>
    Effect.gen(function* () {
      const { agent, client, script } = yield* apart()
      const missing = newPeerId()
      yield* client.addTunnel(missing)
      script.rows = [...script.rows, { ...row(missing, "m1"), replicaId: Seed.newId(ReplicaId) }]
      script.others = [
        { id: other, ageMillis: 0 },
        { id: script.rows[1]!.replicaId, ageMillis: 0 }
      ]
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* client.received, [`node ${missing} m1 (new)`])

      script.failing = { beat: "unavailable" }
      yield* TestClock.adjust("8 seconds")
      script.others = [{ id: other, ageMillis: 60_000 }]
      script.failing = {}
      // it has listened again since 10 seconds
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(yield* client.received, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        (yield* client.received).toSorted(),
        [`lost ${agent} (lost)`, `lost ${missing} (lost)`].sort()
      )
    })
  )

  it.effect("judges others after a failure that was shorter than 6 seconds, and finds those that beat at once", () =>
    Effect.gen(function* () {
      const { agent, client, script } = yield* apart()
      script.others = [{ id: other, ageMillis: 7_000 }]
      script.failing = { beat: "unavailable" }
      // beats at 2, 4 and 6 seconds
      yield* TestClock.adjust("5 seconds")
      script.failing = {}
      assert.deepStrictEqual(yield* client.received, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* client.received, [`lost ${agent} (lost)`])

      script.failing = { beat: "unavailable" }
      yield* TestClock.adjust("8 seconds")
      script.failing = {}
      script.others = [{ id: other, ageMillis: 0 }]
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* client.received, [`node ${agent} a1 (found)`])
    })
  )

  it.effect("warns of the first of several failures, counts each, and tries again after 2 seconds", () =>
    logged((records) =>
      Effect.gen(function* () {
        const { callsOf, script } = yield* replica()
        script.others = [{ id: other, ageMillis: 5_950 }]
        yield* TestClock.adjust("2 seconds")
        script.failing = { beat: "unavailable" }

        yield* TestClock.adjust("100 millis")
        assert.deepStrictEqual(levelsOf(records), ["Warn: the heartbeat of the tailnet failed"])
        assert.include(records[0]!.cause, "cannot beat")
        assert.strictEqual(yield* callsOf("beat", TestClock.adjust("4 seconds")), 2)
        assert.strictEqual(records.length, 1)
        assert.strictEqual((yield* Metric.value(Metrics.heartbeatFailures)).count, 3)

        script.failing = {}
        yield* TestClock.adjust("2 seconds")
        script.failing = { beat: "unavailable" }
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(records.length, 2)
      })
    ).pipe(isolated)
  )

  it.effect("cleans up every hour, also after it could not, of which it warns", () =>
    logged((records) =>
      Effect.gen(function* () {
        const { callsOf, script } = yield* replica({ options: { heartbeatInterval: "1 day" } })
        script.failing = { cleanUp: "unavailable" }

        assert.strictEqual(yield* callsOf("cleanUp", TestClock.adjust("59 minutes")), 0)
        assert.strictEqual(yield* callsOf("cleanUp", TestClock.adjust("1 minute")), 1)
        assert.deepStrictEqual(levelsOf(records), ["Warn: the tailnet cannot be cleaned up now"])
        assert.strictEqual(yield* callsOf("cleanUp", TestClock.adjust("1 hour")), 1)
      })
    )
  )
})
