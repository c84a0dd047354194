/** Stores the directory's users and their tokens. */
import { Effect, Option, Schema } from "effect"
import type { SecureRandom } from "effect/crypto"
import { type SqlClient, SqlSchema } from "effect/sql"
import { type Directory, UserNotFound } from "../../../admin/Directory.ts"
import { UserId } from "../../../domain/Ids.ts"
import { directoryOperation, nameTaken } from "./operation.ts"

const User = Schema.Struct({ id: UserId, username: Schema.String, isAdmin: Schema.Boolean })

/** Finds a user by name. */
export const makeUserId = (sql: SqlClient.SqlClient) => {
  const find = SqlSchema.findOneOption({
    Request: Schema.String,
    Result: Schema.Struct({ id: UserId }),
    execute: (username) => sql`SELECT id FROM users WHERE lower(username) = lower(${username}) AND NOT deleted`
  })
  return (username: string) =>
    Effect.flatMap(
      find(username),
      Option.match({
        onNone: () => Effect.fail(new UserNotFound({ message: `there is no user ${username}` })),
        onSome: ({ id }) => Effect.succeed(id)
      })
    )
}

export const make = (
  sql: SqlClient.SqlClient,
  random: SecureRandom.SecureRandom["Service"]
): Pick<Directory["Service"], "createUser" | "putToken" | "users"> => {
  const userId = makeUserId(sql)

  const users = SqlSchema.findAll({
    Request: Schema.Void,
    Result: User,
    execute: () => sql`
      SELECT id, username, is_admin AS "isAdmin" FROM users WHERE NOT deleted ORDER BY username`
  })

  return {
    users: users().pipe(directoryOperation(sql, "read the users")),

    createUser: Effect.fn("PgDirectory.createUser")(
      function* ({ isAdmin, username }) {
        const id = UserId.make(yield* random.uuidV4())
        yield* sql`INSERT INTO users (id, username, is_admin) VALUES (${id}, ${username}, ${isAdmin})`.pipe(
          nameTaken(`there is a user ${username} already`)
        )
        return { id, username, isAdmin }
      },
      directoryOperation(sql, "create a user")
    ),

    putToken: Effect.fn("PgDirectory.putToken")(
      function* ({ name, token, username }) {
        const owner = yield* userId(username)
        yield* sql`DELETE FROM api_tokens WHERE hash = ${token}`
        yield* sql`
          INSERT INTO api_tokens (id, user_id, name, hash) VALUES (${yield* random.uuidV4()}, ${owner}, ${name}, ${token})
          ON CONFLICT (user_id, name) DO UPDATE SET hash = excluded.hash, created_at = now()`
      },
      sql.withTransaction,
      directoryOperation(sql, "store the token of a user")
    )
  }
}
