/** Stores the secrets of the directory's users. No statement but a write has a value. */
import { Effect, Redacted, Schema } from "effect"
import { type SqlClient, SqlSchema } from "effect/sql"
import { type Directory, SecretNotFound, TooManySecrets } from "../../../admin/Directory.ts"
import { maxSecrets, maxTotalBytes, maxValueBytes } from "../../../admin/UserSecret.ts"
import { UserId } from "../../../domain/Ids.ts"
import { directoryOperation, nameTaken } from "./operation.ts"
import { makeUserId } from "./users.ts"

const Summary = Schema.Struct({
  name: Schema.String,
  envName: Schema.String,
  filePath: Schema.String,
  createdAt: Schema.DateTimeUtcFromDate,
  updatedAt: Schema.DateTimeUtcFromDate
})

const decodeSummary = Schema.decodeUnknownEffect(Summary)

export const make = (
  sql: SqlClient.SqlClient
): Pick<Directory["Service"], "deleteSecret" | "putSecret" | "secrets"> => {
  const userId = makeUserId(sql)

  const columns = sql`
    name, env_name AS "envName", file_path AS "filePath", created_at AS "createdAt", updated_at AS "updatedAt"`

  const secretsOf = SqlSchema.findAll({
    Request: UserId,
    Result: Summary,
    execute: (id) => sql`SELECT ${columns} FROM user_secrets WHERE user_id = ${id} ORDER BY name`
  })

  const sizesOf = SqlSchema.findAll({
    Request: Schema.Struct({ owner: UserId, except: Schema.String }),
    Result: Schema.Struct({ count: Schema.Int, total: Schema.Int, inVariables: Schema.Int }),
    execute: ({ except, owner }) => sql`
      SELECT
        count(*)::int4 AS count,
        coalesce(sum(octet_length(value)), 0)::int4 AS total,
        coalesce(sum(octet_length(value)) FILTER (WHERE env_name <> ''), 0)::int4 AS "inVariables"
      FROM user_secrets
      WHERE user_id = ${owner} AND name <> ${except}`
  })

  return {
    secrets: Effect.fn("PgDirectory.secrets")(
      function* (username) {
        return yield* secretsOf(yield* userId(username))
      },
      directoryOperation(sql, "read the secrets of a user")
    ),

    putSecret: Effect.fn("PgDirectory.putSecret")(
      function* (username, name, { env_name, file_path, value: redacted }) {
        const owner = yield* userId(username)
        // secrets of a user are counted one after the other
        yield* sql`SELECT FROM users WHERE id = ${owner} FOR NO KEY UPDATE`
        const value = new TextEncoder().encode(Redacted.value(redacted))
        const [{ count, inVariables, total } = { count: 0, inVariables: 0, total: 0 }] = yield* sizesOf({
          owner,
          except: name
        })
        if (count >= maxSecrets) return yield* tooMany("name", `a user has at most ${maxSecrets} secrets`)
        if (total + value.length > maxTotalBytes) {
          return yield* tooMany("value", `the secrets of a user have at most ${maxTotalBytes} bytes in total`)
        }
        if (env_name !== "" && inVariables + value.length > maxValueBytes) {
          const limit = `the secrets of a user that are in variables have at most ${maxValueBytes} bytes in total`
          return yield* tooMany("value", limit)
        }
        const [stored] = yield* sql`
          INSERT INTO user_secrets (user_id, name, env_name, file_path, value)
          VALUES (${owner}, ${name}, ${env_name}, ${file_path}, ${value})
          ON CONFLICT (user_id, name) DO UPDATE
          SET env_name = excluded.env_name, file_path = excluded.file_path, value = excluded.value, updated_at = now()
          RETURNING ${columns}`.pipe(
          nameTaken(`${username} has another secret in this variable or in this file already`)
        )
        return yield* decodeSummary(stored)
      },
      sql.withTransaction,
      directoryOperation(sql, "store the secret of a user")
    ),

    deleteSecret: Effect.fn("PgDirectory.deleteSecret")(
      function* (username, name) {
        const owner = yield* userId(username)
        const deleted = yield* sql`DELETE FROM user_secrets WHERE user_id = ${owner} AND name = ${name} RETURNING 1`
        if (deleted.length === 0) return yield* new SecretNotFound({ message: `${username} has no secret ${name}` })
      },
      directoryOperation(sql, "delete a secret of a user")
    )
  }
}

const tooMany = (field: string, detail: string) =>
  new TooManySecrets({ message: detail, validations: [{ field, detail }] })
