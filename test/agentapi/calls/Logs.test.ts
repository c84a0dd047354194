/** `BatchCreateLogs`, called as an agent calls it, over a store that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Logs from "../../../src/agentapi/calls/Logs.ts"
import { channel, LogId } from "../../../src/domain/AgentLog.ts"
import * as WorkspaceEvent from "../../../src/domain/WorkspaceEvent.ts"
import { nil } from "../../../src/domain/Ids.ts"
import { PubSub, PubSubError } from "../../../src/pubsub/PubSub.ts"
import { calling, session } from "../../support/agentApi.ts"
import { workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"
import { LogStore, type LogBatch, type Appended } from "../../../src/agentapi/ports/LogStore.ts"

const source = "10000000-0000-4000-8000-000000000001"

const stored = (id: number): Appended => ({
  firstId: Option.some(LogId.make(id)),
  isFirst: false,
  limit: "kept"
})

/** An agent whose batches are answered so, and what becomes of them. */
const connect = Effect.fnUntraced(function* (
  answer: Effect.Effect<Appended, StoreError> = Effect.succeed(stored(7)),
  publish: Effect.Effect<void, PubSubError> = Effect.void
) {
  const batches: Array<LogBatch> = []
  const published: Array<readonly [channel: string, payload: unknown]> = []
  const logs: Array<LogRecord> = []
  const { BatchCreateLogs } = yield* Logs.make.pipe(
    Effect.provideService(LogStore, {
      addSource: () => Effect.die("no source is added"),
      append: (agentId, batch) => {
        assert.strictEqual(agentId, agent(7))
        batches.push(batch)
        return answer
      }
    }),
    Effect.provideService(PubSub, {
      publish: (channel, payload) => {
        published.push([channel, JSON.parse(payload)])
        return publish
      },
      subscribe: () => assert.fail("nobody subscribes")
    })
  )
  const call = calling(Logs.BatchCreateLogsRequest, BatchCreateLogs, session(agent(7)))
  return { batches, published, logs, call: (request: unknown) => call(request).pipe(collectLogs(logs)) }
})

const batch = (...logs: ReadonlyArray<unknown>) => ({ log_source_id: source, logs })

const event = (kind: WorkspaceEvent.Kind) =>
  [WorkspaceEvent.channel(workspace.ownerId), { kind, workspace_id: workspace.id, agent_id: agent(7) }] as const

const announced = (created_after: number) => [channel(agent(7)), { created_after }] as const

const field = (call: (request: unknown) => Effect.Effect<unknown, unknown>, request: unknown) =>
  Effect.map(Effect.flip(call(request)), String)

describe("BatchCreateLogs", () => {
  it.effect("stores lines with their levels, info where there is none, and the server's time [LG-05, LG-06]", () =>
    Effect.gen(function* () {
      const { batches, call } = yield* connect()
      yield* TestClock.setTime(1_000)

      const answer = yield* call(
        batch(
          { created_at: "1999-01-01T00:00:00Z", output: "one", level: "WARN" },
          { output: "two", level: "LEVEL_UNSPECIFIED" },
          { output: "three" },
          {}
        )
      )

      assert.deepStrictEqual(answer, { log_limit_exceeded: false })
      assert.strictEqual(batches[0]!.sourceId, source)
      assert.strictEqual(batches[0]!.receivedAt.epochMilliseconds, 1_000)
      assert.deepStrictEqual(batches[0]!.lines, [
        { level: "warn", output: "one" },
        { level: "info", output: "two" },
        { level: "info", output: "three" },
        { level: "info", output: "" }
      ])
    })
  )

  it.effect("announces what was stored with the number that it begins behind [LG-09]", () =>
    Effect.gen(function* () {
      const { call, published } = yield* connect()

      yield* call(batch({ output: "one" }))

      assert.deepStrictEqual(published, [announced(6)])
    })
  )

  it.effect("announces the first logs of an agent as an event too, and no others [LG-10]", () =>
    Effect.gen(function* () {
      const first = yield* connect(Effect.succeed({ ...stored(7), isFirst: true }))
      yield* first.call(batch({ output: "one" }))
      assert.deepStrictEqual(first.published, [announced(6), event("agt_first_logs")])

      const later = yield* connect()
      yield* later.call(batch({ output: "two" }))
      assert.deepStrictEqual(later.published, [announced(6)])
    })
  )

  it.effect("returns nothing for no lines, and announces nothing [LG-02]", () =>
    Effect.gen(function* () {
      const { call, published } = yield* connect(
        Effect.succeed({ firstId: Option.none(), isFirst: false, limit: "kept" })
      )

      assert.deepStrictEqual(yield* call({ log_source_id: source }), { log_limit_exceeded: false })
      assert.deepStrictEqual(published, [])
    })
  )

  it.effect(
    "tells an agent that it has logged too much, and announces it to its owner's programs once [LG-01, LG-07]",
    () =>
      Effect.gen(function* () {
        const crossing = yield* connect(Effect.succeed({ ...stored(7), limit: "crossed" }))
        assert.deepStrictEqual(yield* crossing.call(batch({ output: "one" })), { log_limit_exceeded: true })
        assert.deepStrictEqual(crossing.published, [announced(6), event("agt_logs_overflow")])
        assert.deepStrictEqual(
          crossing.logs.map(({ annotations, level }) => [level, annotations["agentId"]]),
          [["Warn", agent(7)]]
        )

        const after = yield* connect(
          Effect.succeed({ firstId: Option.none(), isFirst: false, limit: "crossed before" })
        )
        assert.deepStrictEqual(yield* after.call(batch({ output: "two" })), { log_limit_exceeded: true })
        assert.deepStrictEqual([after.published, after.logs], [[], []])
      })
  )

  it.effect("rejects a source that is no UUID [LG-03]", () =>
    Effect.gen(function* () {
      const { batches, call } = yield* connect()

      for (const log_source_id of ["", "agent-1", 7, null, undefined]) {
        assert.include(yield* field(call, { log_source_id, logs: [] }), "log_source_id")
      }
      assert.deepStrictEqual(batches, [])
    })
  )

  it.effect("takes the nil source for a program outside [LG-04]", () =>
    Effect.gen(function* () {
      const { batches, call } = yield* connect()

      yield* call({ log_source_id: nil, logs: [{ output: "one" }] })

      assert.isNull(batches[0]!.sourceId)
    })
  )

  it.effect("cuts a line at 1 024 characters and between them, and takes out what cannot be stored [LG-11]", () =>
    Effect.gen(function* () {
      const { batches, call } = yield* connect()

      yield* call(
        batch(
          { output: "x".repeat(1_024) },
          { output: "x".repeat(1_025) },
          { output: "😀".repeat(1_025) },
          { output: `x${"😀".repeat(2_000)}` },
          { output: "a\0b\ud800" }
        )
      )

      assert.deepStrictEqual(
        batches[0]!.lines.map(({ output }) => output),
        ["x".repeat(1_024), "x".repeat(1_024), "😀".repeat(1_024), `x${"😀".repeat(1_023)}`, "ab\ufffd"]
      )
    })
  )

  it.effect("rejects unknown levels and more lines than an agent sends at once, and names the problem", () =>
    Effect.gen(function* () {
      const { batches, call } = yield* connect()

      assert.include(yield* field(call, batch({ level: "LOUD" })), "level")
      assert.include(yield* field(call, batch(...Array.from({ length: 65_537 }, () => ({})))), "at most 65536 lines")
      assert.deepStrictEqual(batches, [])
    })
  )

  it.effect("takes an announcement that fails for a warning: the lines are there", () =>
    Effect.gen(function* () {
      const { call, logs, published } = yield* connect(
        Effect.succeed({ ...stored(7), isFirst: true }),
        Effect.fail(new PubSubError({ operation: "publish", channel: "any", cause: "refused" }))
      )

      assert.deepStrictEqual(yield* call(batch({ output: "a secret" })), { log_limit_exceeded: false })
      assert.strictEqual(published.length, 2)
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn", "Warn"]
      )
      assert.notInclude(JSON.stringify(logs), "secret")
    })
  )

  it.effect("says that it cannot store now, without the reason", () =>
    Effect.gen(function* () {
      const { call } = yield* connect(
        Effect.fail(new StoreError({ operation: "store the logs", reason: "unavailable", cause: "no route" }))
      )

      const error = yield* Effect.flip(call(batch({ output: "one" })))

      assert.deepInclude(error, { _tag: "Unavailable", message: "cannot store the logs now" })
    })
  )
})
