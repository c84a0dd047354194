/**
 * Functions of the database that belong to a store. Their text stands beside the store, and the start replaces a function
 * whose text differs.
 *
 * A rolling upgrade runs two versions at once, and a rollback goes back to the older one, so that either text may serve
 * either version: callers name the columns they read, and a change that an older version cannot bear takes a new name.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as Crypto from "node:crypto"

export interface Definition {
  /** The name with the types of the arguments, as `to_regprocedure` reads it. */
  readonly signature: string
  /** A statement `CREATE OR REPLACE FUNCTION …`. */
  readonly create: string
}

/**
 * Replaces the functions whose text differs, in one transaction under a lock on `table`, so that processes that start
 * together do it one after the other. Returns the signatures of those replaced.
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
      // the type of the result cannot be replaced
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
