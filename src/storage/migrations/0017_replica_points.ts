/** Adds the points of the longer plots, of all replicas. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE replica_points (
      at timestamptz NOT NULL,
      replica text NOT NULL,
      agents float8 NOT NULL,
      updates float8 NOT NULL,
      rows float8 NOT NULL,
      statements float8 NOT NULL,
      notifies float8 NOT NULL,
      pending float8 NOT NULL,
      queued float8 NOT NULL,
      written_age float8,
      watch_delay float8,
      PRIMARY KEY (at, replica)
    )`
})
