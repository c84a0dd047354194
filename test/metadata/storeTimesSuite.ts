/** The rules of every store that counts rows and mends times that are wrong. */
import { assert } from "@effect/vitest"
import { Context, DateTime, Effect, Metric, Record, type Scope } from "effect"
import { TestClock } from "effect/testing"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import * as MetadataStoreMetrics from "../../src/metadata/MetadataStoreMetrics.ts"
import * as PgClock from "../../src/storage/PgClock.ts"
import { isolated } from "../support/isolated.ts"
import { at, noon, read, row, samples, updateBatch } from "../support/metadata.ts"
import { Agents, type It } from "./storeSuite.ts"

/** Changes of the rows of the adapter under test behind its back. */
export class Stored extends Context.Service<
  Stored,
  {
    /** Sets a stored row whose time is ahead of the store. */
    readonly putAhead: (agentId: AgentId, key: string, value: string, aheadMillis: number) => Effect.Effect<void>
    /** Removes a stored row, as a crash of the server does. */
    readonly remove: (agentId: AgentId, key: string) => Effect.Effect<void>
    /** Another store over the same server. */
    readonly another: Effect.Effect<MetadataStore["Service"], never, Scope.Scope>
  }
>()("test/metadata/Stored") {}

const agents = (count: 1 | 2, keys: ReadonlyArray<string>) =>
  Effect.map(
    Agents.use(({ declare }) => declare(count, keys)),
    (ids) => ids as [AgentId, AgentId]
  )

const hour = 3_600_000

export const storeTimesSuite = (it: It<Stored>) => {
  it.effect("counts each row of a batch once, as stored, stale or undeclared [FT-15]", () =>
    Effect.gen(function* () {
      const [a, b] = yield* agents(2, ["cpu", "ram", "disk"])
      yield* updateBatch([row(a, "cpu", "newer"), row(b, "cpu", "older")])
      yield* Stored.use(({ remove }) => remove(a, "disk"))

      const counts = yield* Effect.gen(function* () {
        yield* updateBatch([
          row(a, "cpu", "late", at(-1)),
          row(a, "disk", "missing"),
          row(a, "nothing of the kind", "1"),
          row(b, "cpu", "newest", at(1)),
          row(b, "neither", "1")
        ])
        yield* updateBatch([row(a, "ram", "1"), row(b, "ram", "1")])
        return yield* Effect.all(Record.map(MetadataStoreMetrics.rows, (metric) => Metric.value(metric)))
      }).pipe(isolated)

      assert.deepStrictEqual(
        Record.map(counts, ({ count }) => count),
        { stored: 4, stale: 1, undeclared: 2 }
      )
      assert.deepStrictEqual((yield* samples(a)).disk, ["missing", "", noon])
    })
  )

  it.effect("stores a time that is ahead of the store as the present time, and counts it [FT-03]", () =>
    Effect.gen(function* () {
      const [agent] = yield* agents(1, ["cpu"])
      const now = yield* DateTime.now

      const ahead = yield* Effect.gen(function* () {
        yield* updateBatch([row(agent, "cpu", "1", DateTime.add(now, { days: 30 }))])
        yield* updateBatch([row(agent, "cpu", "1", DateTime.add(now, { days: 30 }))])
        return yield* Metric.value(MetadataStoreMetrics.ahead)
      }).pipe(isolated)

      assert.strictEqual(ahead.count, 2)
      const [stored] = yield* read(agent)
      assert.isBelow(Math.abs(DateTime.toEpochMillis(stored!.collectedAt) - DateTime.toEpochMillis(now)), 30_000)
    })
  )

  it.effect("keeps the order of rows whose times are ahead and of those that are not [FT-03]", () =>
    Effect.gen(function* () {
      const [agent] = yield* agents(1, ["cpu"])
      const now = yield* DateTime.now
      const aheadBy = (seconds: number) => DateTime.add(now, { days: 30, seconds })
      yield* updateBatch([row(agent, "cpu", "newer", now)])

      // the clock of its replica is thirty days ahead: the row is a minute old when it is written
      yield* Effect.andThen(
        TestClock.setTime(DateTime.toEpochMillis(aheadBy(60))),
        updateBatch([row(agent, "cpu", "older", aheadBy(0))])
      ).pipe(Effect.provide(TestClock.layer()))

      assert.strictEqual((yield* samples(agent)).cpu?.[0], "newer")
    })
  )

  it.effect("keeps the order of rows that are pending while the clock of their replica is set back [FT-03]", () =>
    Effect.gen(function* () {
      const [agent] = yield* agents(1, ["cpu"])
      const now = yield* DateTime.now
      // the row is a minute old by the clock as it was, and an hour ahead of the clock as it is
      const old = DateTime.add(now, { hours: 1 })
      const isAhead = (time: number) => time === DateTime.toEpochMillis(old)
      const clockThatWentBack = (time: number) =>
        Effect.succeed(DateTime.toEpochMillis(isAhead(time) ? DateTime.add(old, { minutes: 1 }) : now))
      yield* updateBatch([row(agent, "cpu", "newer", now)])

      yield* Effect.gen(function* () {
        const store = yield* Stored.use(({ another }) => another)
        yield* store.updateBatch([row(agent, "cpu", "older", old)])
      }).pipe(Effect.provideService(PgClock.PresentFor, clockThatWentBack))

      assert.strictEqual((yield* samples(agent)).cpu?.[0], "newer")
    })
  )

  it.effect("keeps the newer of two rows whose times are both ahead of the store [FT-03]", () =>
    Effect.gen(function* () {
      const [agent] = yield* agents(1, ["cpu"])
      const now = yield* DateTime.now
      yield* updateBatch([row(agent, "cpu", "newer")])
      yield* Stored.use(({ putAhead }) => putAhead(agent, "cpu", "newer", hour))

      yield* updateBatch([row(agent, "cpu", "older", DateTime.add(now, { minutes: 59 }))])

      assert.strictEqual((yield* samples(agent)).cpu?.[0], "newer")
    })
  )

  it.effect("writes over a stored time that is ahead of the store, and counts the repair [FT-03]", () =>
    Effect.gen(function* () {
      const [agent] = yield* agents(1, ["cpu", "ram"])
      yield* updateBatch([row(agent, "cpu", "0")])
      yield* Stored.use(({ putAhead }) => putAhead(agent, "cpu", "frozen", 30 * 24 * hour))

      const [changed, counts] = yield* Effect.all([
        updateBatch([row(agent, "cpu", "1"), row(agent, "ram", "1")]),
        Effect.all({
          ahead: Metric.value(MetadataStoreMetrics.ahead),
          stale: Metric.value(MetadataStoreMetrics.rows.stale)
        })
      ]).pipe(isolated)

      assert.deepStrictEqual(changed, [agent])
      assert.deepStrictEqual(yield* samples(agent), { cpu: ["1", "", noon], ram: ["1", "", noon] })
      assert.deepStrictEqual([counts.ahead.count, counts.stale.count], [1, 0])
    })
  )

  it.effect("keeps a stored time that is ahead of a row by less than a minute", () =>
    Effect.gen(function* () {
      const [agent] = yield* agents(1, ["cpu"])
      const now = yield* DateTime.now
      yield* updateBatch([row(agent, "cpu", "1", DateTime.add(now, { seconds: 20 }))])

      assert.deepStrictEqual(yield* updateBatch([row(agent, "cpu", "2", now)]), [])
      assert.deepStrictEqual((yield* samples(agent)).cpu, ["1", "", DateTime.add(now, { seconds: 20 })])
    })
  )
}
