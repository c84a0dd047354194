/** The secrets of users: their names, their limits and their ends. */
import { NodeCrypto } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { Directory, TooManySecrets } from "../../src/admin/Directory.ts"
import { maxSecrets, maxTotalBytes, maxValueBytes } from "../../src/admin/UserSecret.ts"
import * as PgDirectory from "../../src/storage/PgDirectory.ts"
import * as People from "../support/directory.ts"
import * as Postgres from "../support/Postgres.ts"

const stores = PgDirectory.layer.pipe(Layer.provideMerge(NodeCrypto.layer))

const content = (value: string, env_name = "", file_path = "") => ({ env_name, file_path, value: Redacted.make(value) })

/** The name and the targets of each secret of a user. */
const targets = (username: string) =>
  Effect.flatMap(Directory, ({ secrets }) =>
    Effect.map(secrets(username), (secrets) => secrets.map(({ envName, filePath, name }) => [name, envName, filePath]))
  )

layer(Layer.provideMerge(stores, Postgres.layer), { excludeTestServices: true })("the secrets of a user", (it) => {
  it.effect("replace the one of the same name, and are gone when they are deleted [MF-10]", () =>
    Effect.gen(function* () {
      const { deleteSecret, putSecret } = yield* Directory
      const { username } = yield* People.user()
      const other = yield* People.user()
      const sql = yield* SqlClient.SqlClient

      const first = yield* putSecret(username, "npm", content("old", "NPM_TOKEN"))
      const second = yield* putSecret(username.toUpperCase(), "npm", content("néw", "", "~/.npmrc"))
      yield* putSecret(other.username, "npm", content("their own", "NPM_TOKEN", "~/.npmrc"))

      assert.deepStrictEqual(yield* targets(username), [["npm", "", "~/.npmrc"]])
      assert.deepStrictEqual(second.createdAt, first.createdAt)
      const [row] = yield* sql<{ value: Uint8Array }>`
        SELECT value FROM user_secrets JOIN users ON id = user_id WHERE username = ${username}`
      assert.strictEqual(new TextDecoder().decode(row!.value), "néw")

      yield* deleteSecret(username, "npm")
      assert.deepStrictEqual(yield* targets(username), [])
      assert.deepStrictEqual(yield* targets(other.username), [["npm", "NPM_TOKEN", "~/.npmrc"]])
      assert.strictEqual((yield* Effect.flip(deleteSecret(username, "npm")))._tag, "SecretNotFound")
      assert.strictEqual((yield* Effect.flip(putSecret("nobody", "npm", content("x", "X"))))._tag, "UserNotFound")
    })
  )

  it.effect("have neither a variable nor a file in common [MF-12]", () =>
    Effect.gen(function* () {
      const { putSecret } = yield* Directory
      const { username } = yield* People.user()
      yield* putSecret(username, "a", content("a", "A", "/a"))

      for (const taken of [content("b", "A"), content("b", "B", "/a")]) {
        assert.strictEqual((yield* Effect.flip(putSecret(username, "b", taken)))._tag, "NameTaken")
      }
      yield* putSecret(username, "b", content("b", "B"))
      yield* putSecret(username, "c", content("c", "C"))
      assert.deepStrictEqual(yield* targets(username), [
        ["a", "A", "/a"],
        ["b", "B", ""],
        ["c", "C", ""]
      ])
    })
  )

  it.effect("are at most so many, and have at most so many bytes: not one more [MF-12]", () =>
    Effect.gen(function* () {
      const { deleteSecret, putSecret } = yield* Directory
      const limits = Effect.fnUntraced(function* (username: string, name: string, given: ReturnType<typeof content>) {
        const error = yield* Effect.flip(putSecret(username, name, given))
        assert.instanceOf(error, TooManySecrets)
        return (error as TooManySecrets).validations
      })
      const whole = "x".repeat(maxValueBytes)

      const many = (yield* People.user()).username
      for (let index = 0; index < maxSecrets; index++) {
        yield* putSecret(many, `${index}`, content("x", "", `/${index}`))
      }
      assert.deepStrictEqual(yield* limits(many, "next", content("x", "X")), [
        { field: "name", detail: "a user has at most 50 secrets" }
      ])
      yield* putSecret(many, "0", content("y", "X"))

      const large = (yield* People.user()).username
      const full = Math.floor(maxTotalBytes / maxValueBytes)
      for (let index = 0; index < full; index++) yield* putSecret(large, `${index}`, content(whole, "", `/${index}`))
      const left = "x".repeat(maxTotalBytes - full * maxValueBytes)
      assert.deepStrictEqual(yield* limits(large, "last", content(`${left}x`, "", "/last")), [
        { field: "value", detail: "the secrets of a user have at most 204800 bytes in total" }
      ])
      yield* putSecret(large, "last", content(left, "", "/last"))

      const variables = (yield* People.user()).username
      yield* putSecret(variables, "a", content("é".repeat(maxValueBytes / 2 - 1), "A"))
      assert.deepStrictEqual(yield* limits(variables, "b", content("xxx", "B")), [
        { field: "value", detail: "the secrets of a user that are in variables have at most 24576 bytes in total" }
      ])
      yield* putSecret(variables, "b", content("xx", "B"))
      yield* deleteSecret(variables, "a")
      yield* putSecret(variables, "c", content("xxx", "C"))
    })
  )

  it.effect("are counted one after the other when they are stored at once [MF-12]", () =>
    Effect.gen(function* () {
      const { putSecret } = yield* Directory
      const { username } = yield* People.user()
      for (let index = 1; index < maxSecrets; index++) {
        yield* putSecret(username, `${index}`, content("x", "", `/${index}`))
      }

      const stored = yield* Effect.forEach(
        ["a", "b", "c", "d"],
        (name) => Effect.isSuccess(putSecret(username, name, content("x", name))),
        { concurrency: "unbounded" }
      )

      assert.strictEqual(stored.filter(Boolean).length, 1)
      assert.lengthOf(yield* targets(username), maxSecrets)
    })
  )

  it.effect("are gone with their user", () =>
    Effect.gen(function* () {
      const { deleteUser, putSecret } = yield* Directory
      const { id, username } = yield* People.user()
      const sql = yield* SqlClient.SqlClient
      yield* putSecret(username, "a", content("a", "A"))

      yield* deleteUser(username)

      assert.deepStrictEqual(yield* sql`SELECT FROM user_secrets WHERE user_id = ${id}`, [])
    })
  )
})
