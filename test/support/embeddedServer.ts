/**
 * A process with an embedded server, for tests that end it: prints the server's process id and port as JSON once it
 * runs, and "flushed" once the statement at its end has returned. Exits on the spot when it gets any input.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { PgClient } from "@effect/sql-pg"
import { Console, Effect, Layer } from "effect"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"

const Client = Layer.unwrap(EmbeddedPostgres.EmbeddedPostgres.use(({ url }) => Effect.succeed(PgClient.layer({ url }))))

const Program = Layer.effectDiscard(
  Effect.gen(function* () {
    const { pid, port } = yield* EmbeddedPostgres.EmbeddedPostgres
    const sql = yield* PgClient.PgClient
    yield* Effect.addFinalizer(() => Effect.orDie(Effect.andThen(sql`SELECT 1`, Console.log("flushed"))))
    process.stdin.once("data", () => process.exit(0))
    yield* Console.log(JSON.stringify({ pid, port }))
  })
)

Layer.launch(
  Program.pipe(
    Layer.provide(Client),
    Layer.provide(EmbeddedPostgres.layer({ dataDir: process.argv[2] ?? "", settings: { fsync: "off" } })),
    Layer.provide(NodeFileSystem.layer)
  )
).pipe(NodeRuntime.runMain)
