/** The keys of resume tokens in real tables. */
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import * as Crypto from "node:crypto"
import * as PgResumeKeyStore from "../../src/storage/PgResumeKeyStore.ts"
import { ResumeKeyStore } from "../../src/tailnet/ResumeKeyStore.ts"
import { at } from "../support/metadataBatcher.ts"
import * as Postgres from "../support/Postgres.ts"

const hour = 3_600_000

const key = (hours: number) => ({
  id: Crypto.randomUUID() as string,
  secret: new Uint8Array(Crypto.randomBytes(64)),
  startsAt: at(hours * hour),
  endsAt: at((hours + 10) * hour)
})

layer(PgResumeKeyStore.layer.pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgResumeKeyStore",
  (it) => {
    it.effect("adds one key where replicas rotate at the same time, and removes those that have ended [TU-11]", () =>
      Effect.gen(function* () {
        const store = yield* ResumeKeyStore
        const first = [key(0), key(0), key(0)]
        yield* Effect.forEach(first, (key) => store.add(key, at(-hour)), { concurrency: "unbounded" })

        const [found, ...others] = yield* store.keys(at(hour))
        assert.deepStrictEqual(others, [])
        const added = first.find(({ id }) => id === found!.id)!
        assert.deepStrictEqual(Uint8Array.from(found!.secret), added.secret)
        assert.isTrue(DateTime.Equivalence(found!.endsAt, added.endsAt))

        const second = key(5)
        yield* store.add(second, at(hour))
        assert.deepStrictEqual(
          (yield* store.keys(at(6 * hour))).map(({ id }) => id),
          [second.id, added.id]
        )
        assert.deepStrictEqual(
          (yield* store.keys(at(11 * hour))).map(({ id }) => id),
          [second.id]
        )
      })
    )
  }
)
