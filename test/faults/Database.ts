/**
 * A Postgres of a scenario's own, which it can stop and start again.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Redacted, Scope } from "effect"
import type { SqlClient } from "effect/sql"
import * as Path from "node:path"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import { unprivileged } from "../../src/postgres/internal/account.ts"
import { run } from "../../src/postgres/internal/childProcess.ts"
import * as Cluster from "../../src/postgres/internal/cluster.ts"
import * as Binaries from "../../src/postgres/internal/postgresBinaries.ts"
import { emptyFolder } from "../support/folder.ts"
import type { Row } from "./Ledger.ts"

const settings = { fsync: "off", full_page_writes: "off", max_connections: "200" }

/** Runs statements of the oracle at `url`, over a connection that is gone afterwards. */
export const at = (url: string) => {
  const using = <A, E>(use: (sql: SqlClient.SqlClient) => Effect.Effect<A, E>) =>
    Effect.scoped(Effect.flatMap(PgClient.make({ url: Redacted.make(url), applicationName: "oracle" }), use)).pipe(
      Effect.orDie
    )
  return {
    using,
    /** What the table holds. */
    rows: using(
      (sql) => sql<Row>`
        SELECT workspace_agent_id::text AS "agentId", key, value
        FROM workspace_agent_metadata WHERE value <> ''`
    ),
    /** Ends every connection of the service; answers how many there were. */
    terminateAll: using(
      (sql) => sql<{ ended: boolean }>`
        SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name LIKE 'metadata-batcher%'`
    ),
    /** Notes every update that puts an older sample in the place of a newer one. */
    witness: using((sql) => Effect.forEach(witness, (statement) => sql.unsafe(statement), { discard: true })),
    /** How many such updates there were. */
    regressions: Effect.map(
      using((sql) => sql<{ count: number }>`SELECT count(*)::integer AS count FROM regressions`),
      ([row]) => row!.count
    )
  }
}

const witness = [
  `CREATE TABLE regressions (older text, newer text)`,
  `CREATE FUNCTION note_regression() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO regressions VALUES (OLD.value, NEW.value); RETURN NEW; END $$`,
  `CREATE TRIGGER regression AFTER UPDATE ON workspace_agent_metadata FOR EACH ROW
    WHEN (OLD.value <> '' AND NEW.value <> '' AND split_part(NEW.value, ' ', 1)::integer < split_part(OLD.value, ' ', 1)::integer)
    EXECUTE FUNCTION note_regression()`
]

export type Database = Effect.Success<ReturnType<typeof make>>

/** A server that runs until the scope closes. */
export const make = Effect.fnUntraced(function* () {
  const dataDir = yield* emptyFolder
  let running = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(running, Exit.void))
  const { port, url } = yield* Scope.provide(EmbeddedPostgres.make({ dataDir, settings }), running)

  const account = yield* unprivileged(Cluster.folderOf(dataDir))
  const source = yield* Binaries.open(yield* Binaries.locate(import.meta.url))
  const command = Path.join(yield* Binaries.usable(source, dataDir, account), "bin", "pg_ctl")

  return {
    ...at(Redacted.value(url)),
    url: Redacted.value(url),
    port,
    /** `pg_ctl stop`: `immediate` is a crash, `fast` ends in order. */
    stop: Effect.fnUntraced(function* (mode: "immediate" | "fast") {
      const args = ["stop", "-w", "-m", mode, "-D", Cluster.folderOf(dataDir)]
      const { code, output } = yield* Effect.orDie(run({ command, args, cwd: dataDir, account }))
      if (code !== 0) return yield* Effect.die(new Error(output))
      yield* Scope.close(running, Exit.void)
    }),
    start: Effect.gen(function* () {
      running = yield* Scope.make()
      yield* Scope.provide(EmbeddedPostgres.make({ dataDir, settings, port }), running)
    })
  }
})
