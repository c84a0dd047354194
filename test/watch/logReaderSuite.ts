/** The rules that every reader of logs keeps, so that the one of tests is not kinder than the real one. */
import { assert, type layer } from "@effect/vitest"
import { Context, Effect, Option } from "effect"
import { LogId } from "../../src/domain/AgentLog.ts"
import { AgentId, type UserId } from "../../src/domain/Ids.ts"
import type { LogReader } from "../../src/watch/LogReader.ts"
import { newId } from "../support/seed.ts"

/** Agents that log, as the adapter under test needs them. */
export class Loggers extends Context.Service<
  Loggers,
  {
    /** A new agent with a reader that knows it. */
    readonly create: Effect.Effect<{
      readonly reader: LogReader["Service"]
      readonly agentId: AgentId
      readonly ownerId: UserId
      readonly log: (...outputs: ReadonlyArray<string>) => Effect.Effect<void>
      readonly remove: Effect.Effect<void>
    }>
  }
>()("test/watch/Loggers") {}

type It = Parameters<Parameters<ReturnType<typeof layer<Loggers, unknown>>>[1] & {}>[0]

const logger = Loggers.use(({ create }) => create)

const first = LogId.make(0)

export const logReaderSuite = (it: It) => {
  it.effect("returns the first lines after a line, in the order in which they were logged", () =>
    Effect.gen(function* () {
      const { agentId, log, reader } = yield* logger
      yield* log("one", "two")
      yield* log("three")
      const read = (after: LogId, limit: number) =>
        Effect.map(reader.logs(agentId, after, limit), (lines) => lines.map(({ output }) => output))

      const all = yield* reader.logs(agentId, first, 10)

      assert.deepStrictEqual(
        all.map(({ output }) => output),
        ["one", "two", "three"]
      )
      const [one, two, three] = all.map(({ id }) => id) as [LogId, LogId, LogId]
      assert.isTrue(first < one && one < two && two < three)
      assert.deepStrictEqual(yield* read(first, 2), ["one", "two"])
      assert.deepStrictEqual(yield* read(one, 1), ["two"])
      assert.deepStrictEqual(yield* read(two, 2), ["three"])
      assert.deepStrictEqual(yield* read(three, 2), [])
    })
  )

  it.effect("returns no lines of another agent", () =>
    Effect.gen(function* () {
      const { log, reader } = yield* logger
      yield* log("one")

      assert.deepStrictEqual(yield* reader.logs(newId(AgentId), first, 10), [])
    })
  )

  it.effect("returns the owner and the lifecycle of an agent, and none of a deleted or unknown agent", () =>
    Effect.gen(function* () {
      const { agentId, ownerId, reader, remove } = yield* logger

      assert.deepStrictEqual(Option.getOrThrow(yield* reader.agent(agentId)), {
        ownerId,
        lifecycle: { state: "created", started_at: null, ready_at: null }
      })
      assert.isTrue(Option.isNone(yield* reader.agent(newId(AgentId))))
      yield* remove
      assert.isTrue(Option.isNone(yield* reader.agent(agentId)))
    })
  )
}
