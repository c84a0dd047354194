import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Token from "../../src/access/Token.ts"
import { Directory } from "../../src/admin/Directory.ts"
import * as PgDirectory from "../../src/storage/PgDirectory.ts"
import * as People from "../support/directory.ts"
import { whileLocked } from "../support/locked.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import * as PgProxy from "../support/PgProxy.ts"
import * as Postgres from "../support/Postgres.ts"

const throughProxy = PgDirectory.layer.pipe(
  Layer.provideMerge(NodeCrypto.layer),
  Layer.provideMerge(Layer.unwrap(PgProxy.PgProxy.useSync(({ url }) => PgClient.layer({ url })))),
  Layer.provideMerge(PgProxy.layer),
  Layer.provideMerge(Postgres.layerDatabase)
)

layer(throughProxy)("PgDirectory behind a bad network", (it) => {
  it.effect("says that it cannot be used while the database is away, and logs why", () =>
    Effect.gen(function* () {
      const { down } = yield* PgProxy.PgProxy
      const directory = yield* Directory
      const { id, workspace } = yield* People.agent()
      const token = yield* Token.digest(yield* Token.mint)
      const logs: Array<LogRecord> = []

      const errors = yield* Effect.all([
        Effect.flip(directory.users),
        Effect.flip(directory.workspaces),
        Effect.flip(directory.agents(workspace.id)),
        Effect.flip(directory.createUser({ username: "late", isAdmin: false })),
        Effect.flip(directory.createWorkspace({ name: "late", owner: "late" })),
        Effect.flip(directory.createAgents(workspace.id, [{ name: "late", token, metadata: [] }])),
        Effect.flip(directory.rotateToken(id, token)),
        Effect.flip(directory.putToken({ username: "late", name: "late", token }))
      ]).pipe(down, collectLogs(logs))

      for (const error of errors) {
        assert.strictEqual(error._tag, "DirectoryUnavailable")
        assert.match(error.message, /^cannot (read|create|replace|store) .+ now$/)
      }
      assert.lengthOf(
        logs.filter(({ level }) => level === "Error"),
        errors.length
      )
      assert.isNotEmpty(yield* directory.users)
    })
  )

  it.effect("gives up a statement after thirty seconds when the database does not respond", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      // opens a connection, for which the time is shorter
      yield* directory.users

      const error = yield* Effect.gen(function* () {
        const asked = yield* Effect.forkScoped(Effect.flip(directory.users), { startImmediately: true })
        yield* TestClock.adjust("29999 millis")
        assert.isUndefined(asked.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        return yield* Fiber.join(asked)
      }).pipe(whileLocked("users"))

      assert.strictEqual(error._tag, "DirectoryUnavailable")
      assert.isDefined(yield* directory.users)
    })
  )
})
