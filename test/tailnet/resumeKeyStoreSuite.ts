/** The rules that every store of the keys of resume tokens keeps, so that the one of tests is not kinder than the real one. */
import { assert, type layer } from "@effect/vitest"
import { Context, DateTime, Effect } from "effect"
import * as Crypto from "node:crypto"
import type { ResumeKey, ResumeKeyStore } from "../../src/tailnet/ResumeKeyStore.ts"
import { at } from "../support/metadataBatcher.ts"

/** Stores without keys. */
export class EmptyStores extends Context.Service<
  EmptyStores,
  { readonly make: Effect.Effect<ResumeKeyStore["Service"]> }
>()("test/tailnet/EmptyStores") {}

type It = Parameters<Parameters<ReturnType<typeof layer<EmptyStores, unknown>>>[1] & {}>[0]

const emptyStore = EmptyStores.use(({ make }) => make)

const hour = (hours: number) => at(hours * 3_600_000)

/** A key that starts at this hour and ends ten hours later. */
const key = (hours: number): ResumeKey => ({
  id: Crypto.randomUUID(),
  secret: new Uint8Array(Crypto.randomBytes(64)),
  startsAt: hour(hours),
  endsAt: hour(hours + 10)
})

const ids = (keys: ReadonlyArray<ResumeKey>) => keys.map(({ id }) => id)

export const resumeKeyStoreSuite = (it: It) => {
  it.effect("returns a key as it was added", () =>
    Effect.gen(function* () {
      const store = yield* emptyStore
      const added = key(0)
      yield* store.add(added, hour(-1))

      const [found] = yield* store.keys(hour(1))

      assert.deepStrictEqual([found!.id, Uint8Array.from(found!.secret)], [added.id, added.secret])
      assert.isTrue(DateTime.Equivalence(found!.startsAt, added.startsAt))
      assert.isTrue(DateTime.Equivalence(found!.endsAt, added.endsAt))
    })
  )

  it.effect("adds one key where replicas rotate at the same time [TU-11]", () =>
    Effect.gen(function* () {
      const store = yield* emptyStore
      const keys = [key(0), key(0), key(0)]
      yield* Effect.forEach(keys, (key) => store.add(key, hour(-1)), { concurrency: "unbounded" })

      const [found, ...others] = ids(yield* store.keys(hour(1)))
      assert.deepStrictEqual(others, [])
      assert.include(ids(keys), found)
    })
  )

  it.effect("adds a key where another one starts at the given time, and none where one starts later", () =>
    Effect.gen(function* () {
      const store = yield* emptyStore
      const [first, second, late] = [key(0), key(5), key(5)]
      yield* store.add(first, hour(-1))
      yield* store.add(second, hour(0))
      yield* store.add(late, hour(4))

      assert.deepStrictEqual(ids(yield* store.keys(hour(6))), [second.id, first.id])
    })
  )

  it.effect("returns the keys that have not ended, the one that starts last first", () =>
    Effect.gen(function* () {
      const store = yield* emptyStore
      const [last, first] = [key(5), key(2)]
      yield* store.add(last, hour(0))
      yield* store.add(first, hour(5))

      assert.deepStrictEqual(ids(yield* store.keys(hour(11))), [last.id, first.id])
      assert.deepStrictEqual(ids(yield* store.keys(hour(12))), [last.id])
      assert.deepStrictEqual(ids(yield* store.keys(hour(15))), [])
    })
  )

  it.effect("removes the keys that have ended when the added key starts [TU-11]", () =>
    Effect.gen(function* () {
      const store = yield* emptyStore
      const [first, second] = [key(0), key(10)]
      yield* store.add(first, hour(-1))
      yield* store.add(second, hour(1))

      assert.deepStrictEqual(ids(yield* store.keys(hour(1))), [second.id])
    })
  )
}
