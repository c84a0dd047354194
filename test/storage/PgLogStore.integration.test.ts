/** The logs of agents in a real database, as they are stored and as people read them. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { type AgentLog, LogId, maxBytes } from "../../src/domain/AgentLog.ts"
import { AgentId, LogSourceId, type UserId } from "../../src/domain/Ids.ts"
import * as PgLogReader from "../../src/storage/readers/PgLogReader.ts"
import * as PgLogStore from "../../src/storage/PgLogStore.ts"
import { LogReader } from "../../src/watch/LogReader.ts"
import { Loggers, logReaderSuite } from "../watch/logReaderSuite.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { type LogLine, LogStore } from "../../src/agentapi/ports/LogStore.ts"

const noon = DateTime.makeUnsafe("2026-03-01T12:00:00.000Z")
const sourceId = Seed.newId(LogSourceId)

const batch = (...lines: ReadonlyArray<string | LogLine>) => ({
  sourceId: sourceId as LogSourceId | null,
  receivedAt: noon,
  lines: lines.map((line): LogLine => (typeof line === "string" ? { level: "info", output: line } : line))
})

/** Lines of `bytes` bytes in all, 1 000 each at most. */
const lines = (bytes: number) =>
  batch(
    ...Array.from({ length: Math.ceil(bytes / 1_000) }, (_, index) =>
      "x".repeat(Math.min(1_000, bytes - index * 1_000))
    )
  )

const anAgent = Effect.map(Seed.agents(1, []), ([id]) => id)

const all = (agentId: AgentId) => LogReader.use((reader) => reader.logs(agentId, LogId.make(0), 10_000))

const outputs = (logs: ReadonlyArray<AgentLog>) => logs.map(({ output }) => output)

const state = Effect.fnUntraced(function* (agentId: AgentId) {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql`
    SELECT logs_length AS length, logs_overflowed AS overflowed FROM workspace_agents WHERE id = ${agentId}`
  return row
})

layer(Layer.merge(PgLogStore.layer, PgLogReader.layer).pipe(Layer.provideMerge(Postgres.layer)), {
  excludeTestServices: true
})("PgLogStore", (it) => {
  it.effect("stores the lines of a batch in their order, with one time, and their bytes [LG-06]", () =>
    Effect.gen(function* () {
      const agentId = yield* anAgent
      const { append } = yield* LogStore

      const first = yield* append(agentId, batch("one", { level: "error", output: "zwölf" }))
      const second = yield* append(agentId, batch("three"))

      const logs = yield* all(agentId)
      assert.deepStrictEqual(
        logs.map(({ id: _, ...log }) => log),
        [
          { created_at: noon, level: "info", output: "one", source_id: sourceId },
          { created_at: noon, level: "error", output: "zwölf", source_id: sourceId },
          { created_at: noon, level: "info", output: "three", source_id: sourceId }
        ]
      )
      assert.deepStrictEqual(first, { firstId: Option.some(logs[0]!.id), isFirst: true, limit: "kept" })
      assert.deepStrictEqual(second, { firstId: Option.some(logs[2]!.id), isFirst: false, limit: "kept" })
      assert.deepStrictEqual(yield* state(agentId), { length: 14, overflowed: false })
    })
  )

  it.effect("stores nothing for no lines, and still says that there were too many [LG-01, LG-02]", () =>
    Effect.gen(function* () {
      const agentId = yield* anAgent
      const { append } = yield* LogStore
      const nothing = { ...batch(), sourceId: null }

      assert.deepStrictEqual(yield* append(agentId, nothing), {
        firstId: Option.none(),
        isFirst: false,
        limit: "kept"
      })
      const sql = yield* PgClient.PgClient
      assert.deepStrictEqual(
        yield* sql`SELECT FROM workspace_agent_log_sources WHERE workspace_agent_id = ${agentId}`,
        []
      )

      yield* append(agentId, lines(maxBytes + 1))
      assert.strictEqual((yield* append(agentId, nothing)).limit, "crossed before")
    })
  )

  it.effect("makes the source of programs outside with its first line, once [LG-04]", () =>
    Effect.gen(function* () {
      const agentId = yield* anAgent
      const { append } = yield* LogStore

      yield* append(agentId, { ...batch("one"), sourceId: null })
      yield* append(agentId, { ...batch("two"), sourceId: null })

      const sql = yield* PgClient.PgClient
      assert.deepStrictEqual(
        yield* sql`
          SELECT id, display_name AS name FROM workspace_agent_log_sources WHERE workspace_agent_id = ${agentId}`,
        [{ id: PgLogStore.externalSourceId, name: "External" }]
      )
      assert.deepStrictEqual(
        (yield* all(agentId)).map(({ source_id }) => source_id),
        [PgLogStore.externalSourceId, PgLogStore.externalSourceId]
      )
    })
  )

  it.effect("stores a mebibyte of an agent and not a byte more [LG-07]", () =>
    Effect.gen(function* () {
      const agentId = yield* anAgent
      const { append } = yield* LogStore

      assert.strictEqual((yield* append(agentId, lines(maxBytes))).limit, "kept")
      assert.deepStrictEqual(yield* state(agentId), { length: maxBytes, overflowed: false })
      assert.deepStrictEqual(yield* append(agentId, batch("x")), {
        firstId: Option.none(),
        isFirst: false,
        limit: "crossed"
      })
      assert.deepStrictEqual(yield* state(agentId), { length: maxBytes, overflowed: true })

      // the limit is that of the schema
      const sql = yield* PgClient.PgClient
      const error = yield* Effect.flip(
        sql`UPDATE workspace_agents SET logs_length = ${maxBytes + 1} WHERE id = ${agentId}`
      )
      assert.include(String(error.reason.cause), "workspace_agents_logs_length_check")
    })
  )

  it.effect(
    "stores the line that fills the mebibyte to its last byte, and not the line that is a byte longer [LG-07]",
    () =>
      Effect.gen(function* () {
        const [fits, crosses] = [yield* anAgent, yield* anAgent]
        const { append } = yield* LogStore
        for (const agentId of [fits, crosses]) yield* append(agentId, lines(maxBytes - 10))

        const kept = yield* append(fits, batch("12345", "12345"))
        const crossing = yield* append(crosses, batch("12345", "123456"))

        assert.deepStrictEqual([kept.limit, crossing.limit], ["kept", "crossed"])
        assert.deepStrictEqual(outputs(yield* all(fits)).slice(-2), ["12345", "12345"])
        assert.deepStrictEqual(outputs(yield* all(crosses)).slice(-1), ["12345"])
        assert.deepStrictEqual(yield* state(fits), { length: maxBytes, overflowed: false })
        assert.deepStrictEqual(yield* state(crosses), { length: maxBytes - 5, overflowed: true })
      })
  )

  it.effect(
    "makes the source of programs outside neither for a line that does not fit nor for another source [LG-04]",
    () =>
      Effect.gen(function* () {
        const [full, other] = [yield* anAgent, yield* anAgent]
        const { append } = yield* LogStore
        yield* append(full, lines(maxBytes))
        yield* append(full, { ...batch("x"), sourceId: null })
        yield* append(full, { ...batch("x"), sourceId: null })
        yield* append(other, batch("one"))

        const sql = yield* PgClient.PgClient
        assert.deepStrictEqual(
          yield* sql`
          SELECT id FROM workspace_agent_log_sources WHERE workspace_agent_id IN (${full}, ${other})`,
          []
        )
      })
  )

  it.effect("stores the part of a batch that fits, and nothing afterwards [LG-01, LG-07]", () =>
    Effect.gen(function* () {
      const agentId = yield* anAgent
      const { append } = yield* LogStore
      yield* append(agentId, lines(maxBytes - 10))

      const crossing = yield* append(agentId, batch("12345", "1234", "12", "1"))
      const after = yield* append(agentId, batch("1"))

      assert.strictEqual(crossing.limit, "crossed")
      assert.isTrue(Option.isSome(crossing.firstId))
      assert.deepStrictEqual(after, { firstId: Option.none(), isFirst: false, limit: "crossed before" })
      assert.deepStrictEqual(outputs(yield* all(agentId)).slice(-2), ["12345", "1234"])
      assert.deepStrictEqual(yield* state(agentId), { length: maxBytes - 1, overflowed: true })
    })
  )

  it.effect("marks that it were too many together with the lines that fit, or does neither [LG-08]", () =>
    Effect.gen(function* () {
      const agentId = yield* anAgent
      const { append } = yield* LogStore
      const sql = yield* PgClient.PgClient
      yield* sql`
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no mark'; END $$`
      yield* sql.unsafe(`
        CREATE TRIGGER refuse BEFORE UPDATE ON workspace_agents FOR EACH ROW
        WHEN (new.id = '${agentId}' AND new.logs_overflowed) EXECUTE FUNCTION refuse()`)

      const error = yield* Effect.flip(append(agentId, lines(maxBytes + 1)))

      assert.deepInclude(error, { _tag: "StoreError", operation: "store the logs of an agent" })
      assert.deepStrictEqual(yield* all(agentId), [])
      assert.deepStrictEqual(yield* state(agentId), { length: 0, overflowed: false })
    })
  )

  it.effect("numbers batches of one agent one after the other, and counts each [LG-07]", () =>
    Effect.gen(function* () {
      const agentId = yield* anAgent
      const { append } = yield* LogStore

      const appended = yield* Effect.forEach(
        Array.from({ length: 12 }, (_, index) => batch(`${index}`.padStart(2), `${index}`.padStart(2))),
        (batch) => append(agentId, batch),
        { concurrency: "unbounded" }
      )

      assert.strictEqual(appended.filter(({ isFirst }) => isFirst).length, 1)
      const logs = outputs(yield* all(agentId))
      assert.strictEqual(logs.length, 24)
      for (let index = 0; index < 24; index += 2) assert.strictEqual(logs[index], logs[index + 1])
      assert.deepStrictEqual(yield* state(agentId), { length: 48, overflowed: false })
    })
  )

  it.effect("cannot store logs of an agent that is gone", () =>
    Effect.gen(function* () {
      const { append } = yield* LogStore

      const deleted = yield* anAgent
      const sql = yield* PgClient.PgClient
      yield* sql`UPDATE workspace_agents SET deleted = true WHERE id = ${deleted}`

      for (const agentId of [Seed.newId(AgentId), deleted]) {
        const error = yield* Effect.flip(append(agentId, batch("one")))
        assert.deepInclude(error, { _tag: "StoreError", reason: "unavailable" })
        assert.deepStrictEqual(yield* all(agentId), [])
      }
    })
  )

  it.effect("reads pages of one agent by its index", () =>
    Effect.gen(function* () {
      const agentId = yield* anAgent
      const sql = yield* PgClient.PgClient
      const plan = yield* Effect.andThen(
        sql`SET LOCAL enable_seqscan = off`,
        sql`EXPLAIN SELECT * FROM workspace_agent_logs WHERE agent_id = ${agentId} AND id > 1 ORDER BY id LIMIT 2`
      ).pipe(sql.withTransaction)
      assert.include(JSON.stringify(plan), "workspace_agent_logs_agent_id_id_idx")
    })
  )
})

const loggers = Layer.effect(
  Loggers,
  Effect.gen(function* () {
    const { append } = yield* LogStore
    const sql = yield* SqlClient.SqlClient
    const reader = yield* LogReader
    return {
      create: Effect.gen(function* () {
        const [agentId, other] = [yield* anAgent, yield* anAgent]
        const [row] = yield* sql<{ ownerId: UserId }>`
          SELECT owner_id AS "ownerId" FROM workspace_agents AS agent
          JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
          JOIN workspaces AS workspace ON workspace.id = build.workspace_id
          WHERE agent.id = ${agentId}`
        return {
          reader,
          agentId,
          ownerId: row!.ownerId,
          // the lines of another agent are between them
          log: (...outputs: ReadonlyArray<string>) =>
            Effect.andThen(append(agentId, batch(...outputs)), append(other, batch("other"))).pipe(Effect.orDie),
          remove: Effect.orDie(sql`UPDATE workspace_agents SET deleted = true WHERE id = ${agentId}`)
        }
      }).pipe(Effect.orDie, Effect.provideService(SqlClient.SqlClient, sql))
    }
  })
)

layer(loggers.pipe(Layer.provide(Layer.merge(PgLogStore.layer, PgLogReader.layer)), Layer.provide(Postgres.layer)), {
  excludeTestServices: true
})("PgLogReader", logReaderSuite)
