/** A listening connection to a server of its own, which stops to accept writes. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Queue } from "effect"
import * as EmbeddedPostgres from "../../../src/postgres/EmbeddedPostgres.ts"
import { ListenerError } from "../../../src/pubsub/internal/listenerError.ts"
import { driver } from "../../../src/pubsub/internal/pgConnection.ts"
import { dataFolder } from "../../support/folder.ts"
import { environment, settings } from "../../support/server.ts"

layer(environment, { excludeTestServices: true })("pgConnection", (it) => {
  it.effect("is lost when its server no longer accepts writes, and not when it never did [FT-12]", () =>
    Effect.gen(function* () {
      const { url } = yield* EmbeddedPostgres.make({ dataDir: yield* dataFolder, settings })
      const sql = yield* PgClient.make({ url })
      const { connect } = driver({ url })
      const connection = yield* connect
      const beats = yield* connection.listen("beats")
      yield* connection.beat("beats", "1")
      yield* connection.beat("beats", "2")
      const received = yield* Queue.takeN(beats, 2)
      assert.deepStrictEqual(
        received.map(({ payload }) => payload),
        ["1", "2"]
      )

      yield* sql`ALTER SYSTEM SET default_transaction_read_only = on`
      yield* sql`SELECT pg_reload_conf()`
      const error = yield* Effect.flip(Effect.forever(connection.beat("beats", "")))
      assert.instanceOf(error, ListenerError)
      assert.strictEqual(error.reason, "read only")
      yield* connection.check

      const other = yield* connect
      yield* other.beat("beats", "3")
      yield* other.beat("beats", "4")
    })
  )
})
