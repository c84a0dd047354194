/**
 * A Postgres server that belongs to one scenario, which stops it, starts it again, copies it and sets its clock.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, FileSystem, Redacted, Scope } from "effect"
import type { SqlClient } from "effect/sql"
import * as Path from "node:path"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import { unprivileged } from "../../src/postgres/internal/account.ts"
import { run } from "../../src/postgres/internal/childProcess.ts"
import * as Cluster from "../../src/postgres/internal/cluster.ts"
import * as Binaries from "../../src/postgres/internal/postgresBinaries.ts"
import { emptyFolder } from "../support/folder.ts"
import type { FakeClock } from "./FakeClock.ts"
import type { Row } from "./Ledger.ts"
import * as ValueStore from "./ValueStore.ts"

export interface Options {
  /** The server's data folder. Default: an empty folder. */
  readonly dataDir?: string | undefined
  /** Postgres settings, beside those of every scenario. */
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** The clock of the server; by default that of the machine. */
  readonly clock?: FakeClock | undefined
}

const defaults = { fsync: "off", full_page_writes: "off", max_connections: "200" }

/** Runs statements of the oracle at `url`, each over a connection that is closed afterwards. */
export const at = (url: string) => {
  const using = <A, E>(use: (sql: SqlClient.SqlClient) => Effect.Effect<A, E>) =>
    Effect.scoped(Effect.flatMap(PgClient.make({ url: Redacted.make(url), applicationName: "oracle" }), use)).pipe(
      Effect.orDie
    )
  return {
    using,
    /** The values that the table holds. */
    rows: ValueStore.isShared
      ? ValueStore.rows()
      : using(
          (sql) => sql<Row>`
            SELECT workspace_agent_id::text AS "agentId", key, value
            FROM workspace_agent_metadata WHERE value <> ''`
        ),
    /** Ends every connection of the service and returns one row for each. */
    terminateAll: using(
      (sql) => sql<{ ended: boolean }>`
        SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name LIKE 'metadata-batcher%'`
    ),
    /** From now on half of the statements that write values fail, as if the server were out of something. */
    failHalf: using((sql) => Effect.forEach(failHalf, (statement) => sql.unsafe(statement), { discard: true })),
    /** From now on they succeed again. */
    failNone: using((sql) => sql.unsafe("DROP TRIGGER fail_at_random ON workspace_agent_metadata")),
    /** From now on records every update that replaces a newer sample by an older one. */
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

const failHalf = [
  `CREATE OR REPLACE FUNCTION fail_at_random() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF random() < 0.5 THEN RAISE EXCEPTION 'as the test wants it' USING ERRCODE = '53000'; END IF;
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER fail_at_random BEFORE INSERT OR UPDATE ON workspace_agent_metadata
    FOR EACH STATEMENT EXECUTE FUNCTION fail_at_random()`
]

export type Database = Effect.Success<ReturnType<typeof make>>

/** Starts a server that runs until the scope closes. */
export const make = Effect.fnUntraced(function* (options: Options = {}) {
  const dataDir = options.dataDir ?? (yield* emptyFolder)
  const folder = options.clock === undefined ? undefined : yield* withClock(options.clock)
  const settings = { ...defaults, ...options.settings }
  let running = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(running, Exit.void))
  const { port, url } = yield* Scope.provide(EmbeddedPostgres.make({ dataDir, settings, package: folder }), running)

  const account = yield* unprivileged(Cluster.folderOf(dataDir))
  const source = yield* Binaries.open(yield* Binaries.locate(import.meta.url))
  const command = Path.join(yield* Binaries.usable(source, dataDir, account), "bin", "pg_ctl")

  return {
    ...at(Redacted.value(url)),
    url: Redacted.value(url),
    port,
    dataDir,
    /** Stops the server as `pg_ctl stop` does: `immediate` is a crash, `fast` is in order. */
    stop: Effect.fnUntraced(function* (mode: "immediate" | "fast") {
      const args = ["stop", "-w", "-m", mode, "-D", Cluster.folderOf(dataDir)]
      const { code, output } = yield* Effect.orDie(run({ command, args, cwd: dataDir, account }))
      if (code !== 0) return yield* Effect.die(new Error(output))
      yield* Scope.close(running, Exit.void)
    }),
    start: Effect.gen(function* () {
      running = yield* Scope.make()
      yield* Scope.provide(EmbeddedPostgres.make({ dataDir, settings, port, package: folder }), running)
    })
  }
})

/** Starts a standby of `primary`, which is stopped for the time of the copy. */
export const standbyOf = Effect.fnUntraced(function* (primary: Database) {
  const fs = yield* FileSystem.FileSystem
  const dataDir = Path.join(yield* emptyFolder, "standby")
  yield* primary.stop("fast")
  // with the owners of the files, which only root can keep
  const copied = yield* run({ command: "cp", args: ["-a", primary.dataDir, dataDir], cwd: "/", account: undefined })
  if (copied.code !== 0) return yield* Effect.die(new Error(copied.output))
  yield* primary.start
  yield* fs.writeFileString(Path.join(Cluster.folderOf(dataDir), "standby.signal"), "")
  const { password, port } = new URL(primary.url)
  const source = `host=127.0.0.1 port=${port} user=postgres password=${password} application_name=standby`
  return yield* make({ dataDir, settings: { ...replicated, primary_conninfo: source } })
}, Effect.orDie)

/** The settings of a server that has a standby, or is one. */
export const replicated = { wal_level: "replica", max_wal_senders: "5" }

/** A package of the Postgres binaries in which the server goes by the clock. */
const withClock = Effect.fnUntraced(function* ({ env }: FakeClock) {
  const fs = yield* FileSystem.FileSystem
  const source = yield* Binaries.locate(import.meta.url)
  const folder = yield* emptyFolder
  for (const name of ["native", "package.json"]) yield* fs.copy(Path.join(source, name), Path.join(folder, name))
  const server = Path.join(folder, "native", "bin", "postgres")
  yield* fs.rename(server, `${server}.real`)
  const variables = Object.entries(env).map(([name, value]) => `${name}='${value}'`)
  yield* fs.writeFileString(server, `#!/bin/sh\nexec env ${variables.join(" ")} "$0.real" "$@"\n`)
  yield* fs.chmod(server, 0o755)
  return folder
}, Effect.orDie)
