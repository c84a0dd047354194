/** Stores the directory's users and their tokens. */
import { Duration, Effect, Option, Schema } from "effect"
import type { SecureRandom } from "effect/crypto"
import { type SqlClient, SqlSchema } from "effect/sql"
import * as Administrator from "../../../admin/Administrator.ts"
import { type Directory, TokenNotFound, UserNeeded, UserNotFound } from "../../../admin/Directory.ts"
import { UserId } from "../../../domain/Ids.ts"
import { directoryOperation, nameTaken } from "./operation.ts"

const User = Schema.Struct({ id: UserId, username: Schema.String, isAdmin: Schema.Boolean })

/** Finds a user by name. */
export const makeUserId = (sql: SqlClient.SqlClient) => {
  const find = SqlSchema.findOneOption({
    Request: Schema.String,
    Result: Schema.Struct({ id: UserId }),
    // within a transaction the user cannot be deleted before its end
    execute: (username) => sql`
      SELECT id FROM users WHERE lower(username) = lower(${username}) AND NOT deleted FOR KEY SHARE`
  })
  return (username: string) =>
    find(username).pipe(
      Effect.flatMap(orNotFound(username)),
      Effect.map(({ id }) => id)
    )
}

export const make = (
  sql: SqlClient.SqlClient,
  random: SecureRandom.SecureRandom["Service"]
): Pick<
  Directory["Service"],
  "createUser" | "deleteUser" | "putToken" | "revokeToken" | "tokens" | "updateUser" | "user" | "users"
> => {
  const userId = makeUserId(sql)

  const users = SqlSchema.findAll({
    Request: Schema.Void,
    Result: User,
    execute: () => sql`
      SELECT id, username, is_admin AS "isAdmin" FROM users WHERE NOT deleted ORDER BY username`
  })

  const find = (lock: string) => {
    const found = SqlSchema.findOneOption({
      Request: Schema.String,
      Result: User,
      execute: (username) => sql`
        SELECT id, username, is_admin AS "isAdmin" FROM users WHERE lower(username) = lower(${username}) AND NOT deleted
        ${sql.literal(lock)}`
    })
    return (username: string) => Effect.flatMap(found(username), orNotFound(username))
  }
  const user = find("")
  const lockedUser = find("FOR UPDATE")

  return {
    users: users().pipe(directoryOperation(sql, "read the users")),

    user: (username) => user(username).pipe(directoryOperation(sql, "read a user")),

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

    updateUser: Effect.fn("PgDirectory.updateUser")(
      function* (username, change) {
        const found = yield* lockedUser(username)
        const changed = {
          id: found.id,
          username: change.username ?? found.username,
          isAdmin: change.isAdmin ?? found.isAdmin
        }
        if (isFirst(found) && !(changed.isAdmin && isFirst(changed))) return yield* firstNeeded
        yield* sql`
          UPDATE users SET username = ${changed.username}, is_admin = ${changed.isAdmin} WHERE id = ${found.id}`.pipe(
          nameTaken(`there is a user ${changed.username} already`)
        )
        return changed
      },
      sql.withTransaction,
      directoryOperation(sql, "change a user")
    ),

    deleteUser: Effect.fn("PgDirectory.deleteUser")(
      function* (username) {
        const found = yield* lockedUser(username)
        if (isFirst(found)) return yield* firstNeeded
        const owned = yield* sql`SELECT FROM workspaces WHERE owner_id = ${found.id} AND NOT deleted LIMIT 1`
        if (owned.length > 0) {
          return yield* new UserNeeded({
            message: `${found.username} owns workspaces: delete them, or give them to another user first`
          })
        }
        yield* sql`DELETE FROM api_tokens WHERE user_id = ${found.id}`
        yield* sql`DELETE FROM user_secrets WHERE user_id = ${found.id}`
        yield* sql`UPDATE users SET deleted = true WHERE id = ${found.id}`
      },
      sql.withTransaction,
      directoryOperation(sql, "delete a user")
    ),

    ...makeTokens(sql, random, userId)
  }
}

const orNotFound =
  (username: string) =>
  <A>(found: Option.Option<A>) =>
    Option.match(found, {
      onNone: () => Effect.fail(new UserNotFound({ message: `there is no user ${username}` })),
      onSome: Effect.succeed
    })

const isFirst = ({ username }: { readonly username: string }) => username.toLowerCase() === Administrator.username

const firstNeeded = new UserNeeded({
  message: `the user ${Administrator.username} is the first administrator: it keeps its name and its rights`
})

const makeTokens = (
  sql: SqlClient.SqlClient,
  random: SecureRandom.SecureRandom["Service"],
  userId: ReturnType<typeof makeUserId>
): Pick<Directory["Service"], "putToken" | "revokeToken" | "tokens"> => {
  const tokensOf = SqlSchema.findAll({
    Request: UserId,
    Result: Schema.Struct({
      name: Schema.String,
      createdAt: Schema.DateTimeUtcFromDate,
      expiresAt: Schema.NullOr(Schema.DateTimeUtcFromDate),
      lastUsedAt: Schema.NullOr(Schema.DateTimeUtcFromDate)
    }),
    execute: (id) => sql`
      SELECT name, created_at AS "createdAt", expires_at AS "expiresAt", last_used_at AS "lastUsedAt"
      FROM api_tokens
      WHERE user_id = ${id}
      ORDER BY name`
  })

  /** The time at which a lifetime that begins now ends. */
  const expiry = (lifetime: Duration.Duration | undefined) =>
    lifetime === undefined
      ? sql`NULL::timestamptz`
      : sql`now() + make_interval(secs => ${Duration.toSeconds(lifetime)}::float8)`

  return {
    tokens: Effect.fn("PgDirectory.tokens")(
      function* (username) {
        return yield* tokensOf(yield* userId(username))
      },
      directoryOperation(sql, "read the tokens of a user")
    ),

    putToken: Effect.fn("PgDirectory.putToken")(
      function* ({ lifetime, name, predecessor, token, username }) {
        const owner = yield* userId(username)
        // replicas that start together put the token of their settings one after the other
        yield* sql`SELECT FROM users WHERE id = ${owner} FOR NO KEY UPDATE`
        const kept = yield* sql`
          UPDATE api_tokens SET expires_at = ${expiry(lifetime)}
          WHERE user_id = ${owner} AND name = ${name} AND hash = ${token}
          RETURNING 1`
        if (kept.length > 0) return
        yield* sql`DELETE FROM api_tokens WHERE hash = ${token}`
        if (predecessor !== undefined) {
          yield* sql`
            DELETE FROM api_tokens AS token
            WHERE user_id = ${owner} AND name = ${predecessor.name} AND EXISTS (
              SELECT FROM api_tokens WHERE user_id = ${owner} AND name = ${name}
            )`
          yield* sql`
            UPDATE api_tokens SET name = ${predecessor.name}, expires_at = ${expiry(predecessor.lifetime)}
            WHERE user_id = ${owner} AND name = ${name}`
        }
        yield* sql`
          INSERT INTO api_tokens (id, user_id, name, hash, expires_at)
          VALUES (${yield* random.uuidV4()}, ${owner}, ${name}, ${token}, ${expiry(lifetime)})
          ON CONFLICT (user_id, name) DO UPDATE
          SET hash = excluded.hash, created_at = now(), expires_at = excluded.expires_at, last_used_at = NULL`
      },
      sql.withTransaction,
      directoryOperation(sql, "store the token of a user")
    ),

    revokeToken: Effect.fn("PgDirectory.revokeToken")(
      function* (username, name) {
        const owner = yield* userId(username)
        const revoked = yield* sql`DELETE FROM api_tokens WHERE user_id = ${owner} AND name = ${name} RETURNING 1`
        if (revoked.length === 0) {
          return yield* new TokenNotFound({ message: `${username} has no token ${name}` })
        }
      },
      directoryOperation(sql, "revoke a token of a user")
    )
  }
}
