/** The agents of the suites of stores, in the database of the test. */
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Agents } from "../metadata/storeSuite.ts"
import * as Seed from "./seed.ts"

export const layer = Layer.effect(
  Agents,
  SqlClient.SqlClient.useSync((sql) => ({
    declare: (count, keys) =>
      Seed.agents<number>(count, keys).pipe(Effect.orDie, Effect.provideService(SqlClient.SqlClient, sql))
  }))
)
