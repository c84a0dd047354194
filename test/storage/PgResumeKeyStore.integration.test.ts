/** The keys of resume tokens in real tables. */
import { layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as PgResumeKeyStore from "../../src/storage/PgResumeKeyStore.ts"
import { ResumeKeyStore } from "../../src/tailnet/ResumeKeyStore.ts"
import * as Postgres from "../support/Postgres.ts"
import { EmptyStores, resumeKeyStoreSuite } from "../tailnet/resumeKeyStoreSuite.ts"

const emptyStores = Layer.effect(
  EmptyStores,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const store = yield* ResumeKeyStore
    return { make: sql`DELETE FROM tailnet_signing_keys`.pipe(Effect.as(store), Effect.orDie) }
  })
)

layer(emptyStores.pipe(Layer.provide(PgResumeKeyStore.layer), Layer.provide(Postgres.layer)), {
  excludeTestServices: true
})("PgResumeKeyStore", resumeKeyStoreSuite)
