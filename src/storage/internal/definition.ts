/**
 * Installs the database functions of a store. The text of a function is in the store's module, and at the start each
 * function with another text is replaced.
 *
 * During a rolling upgrade two versions run at once, and a rollback returns to the older one. Therefore either text
 * must serve either version: callers name the columns that they read, and an incompatible change gets a new function
 * name.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as Crypto from "node:crypto"

export interface Definition {
  /** The name and the argument types, as `to_regprocedure` reads them. */
  readonly signature: string
  /** A `CREATE OR REPLACE FUNCTION …` statement. */
  readonly create: string
}

/**
 * Replaces the functions whose text differs, in one transaction under a lock on `table`, so that processes that start
 * together do so one after the other. Returns the signatures of the replaced functions.
 */
export const install = Effect.fnUntraced(function* (definitions: ReadonlyArray<Definition>, table: string) {
  const sql = yield* SqlClient.SqlClient

  const isInstalled = (definition: Definition) =>
    Effect.map(
      sql<{ digest: string | null }>`
        SELECT obj_description(to_regprocedure(${definition.signature}), 'pg_proc') AS digest`,
      ([row]) => row?.digest === digestOf(definition)
    )

  const replace = Effect.fnUntraced(function* (definition: Definition) {
    yield* sql.withTransaction(sql.unsafe(definition.create)).pipe(
      // CREATE OR REPLACE cannot change the type of the result
      Effect.catch(() =>
        Effect.andThen(sql.unsafe(`DROP FUNCTION IF EXISTS ${definition.signature}`), sql.unsafe(definition.create))
      )
    )
    yield* sql.unsafe(`COMMENT ON FUNCTION ${definition.signature} IS '${digestOf(definition)}'`)
  })

  const differing = Effect.filter(definitions, (definition) => Effect.map(isInstalled(definition), (is) => !is))
  if ((yield* differing).length === 0) return []
  return yield* Effect.gen(function* () {
    yield* sql`LOCK TABLE ${sql(table)} IN ACCESS EXCLUSIVE MODE`
    const changed = yield* differing
    yield* Effect.forEach(changed, replace, { discard: true })
    return changed.map(({ signature }) => signature)
  }).pipe(sql.withTransaction)
})

const digestOf = ({ create }: Definition) => Crypto.createHash("sha256").update(create).digest("hex")
