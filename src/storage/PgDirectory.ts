/**
 * Stores users, workspaces and agents in Postgres.
 *
 * - One transaction writes the rows that belong together: a workspace with its first build, or agents with their
 *   declared keys and the rows of their values.
 * - An operation that takes longer than 30 s is cancelled and fails.
 */
import { Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { Directory } from "../admin/Directory.ts"
import * as Agents from "./internal/directory/agents.ts"
import * as Secrets from "./internal/directory/secrets.ts"
import * as Users from "./internal/directory/users.ts"
import * as Workspaces from "./internal/directory/workspaces.ts"

export const layer: Layer.Layer<Directory, never, SqlClient.SqlClient | SecureRandom.SecureRandom> = Layer.effect(
  Directory,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const random = yield* SecureRandom.SecureRandom
    return Directory.of({
      ...Users.make(sql, random),
      ...Secrets.make(sql),
      ...Workspaces.make(sql, random),
      ...Agents.make(sql, random)
    })
  })
)
