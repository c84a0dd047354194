/** The workspace of a session, under the test clock, over a store whose answers the test gives. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as CachedWorkspace from "../../../src/agentapi/session/CachedWorkspace.ts"
import { WorkspaceStore } from "../../../src/access/WorkspaceStore.ts"
import { prebuildsUserId, type Workspace } from "../../../src/domain/Workspace.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"

type Answer = Effect.Effect<Option.Option<Workspace>, StoreError>

const away = Effect.fail(
  new StoreError({ operation: "read the workspace", reason: "unavailable", cause: new Error("away") })
)

/** A cached workspace in a scope of its own; `answer` is what the store says from then on. */
const start = Effect.fnUntraced(function* (initial: Workspace) {
  const logs: Array<LogRecord> = []
  const asked: Array<string> = []
  let current: Answer = Effect.succeedSome(initial)
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const { get } = yield* CachedWorkspace.make({ agentId: agent(1), workspace: initial }).pipe(
    Scope.provide(scope),
    collectLogs(logs),
    Effect.provideService(WorkspaceStore, {
      workspace: (id) => {
        asked.push(id)
        return current
      },
      workspaceOf: () => Effect.die("nobody asks for that")
    })
  )
  return {
    get: collectLogs(logs)(get),
    asked,
    logs,
    answer: (answer: Answer): void => {
      current = answer
    },
    end: collectLogs(logs)(Scope.close(scope, Exit.void))
  }
})

const prebuild: Workspace = { ...workspace, ownerId: prebuildsUserId, ownerName: "prebuilds" }

describe("CachedWorkspace", () => {
  it.effect("is there from the start without a query [CW-01]", () =>
    Effect.gen(function* () {
      const { asked, get } = yield* start(workspace)

      assert.deepStrictEqual(yield* get, Option.some(workspace))
      assert.deepStrictEqual(asked, [])
    })
  )

  it.effect("is absent while nobody has claimed the workspace, and stays so [CW-02]", () =>
    Effect.gen(function* () {
      const { asked, get, logs } = yield* start(prebuild)

      assert.isTrue(Option.isNone(yield* get))
      assert.deepStrictEqual(asked, [])
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(Option.isNone(yield* get))
      assert.deepStrictEqual(asked, [prebuild.id])
      assert.deepStrictEqual(logs, [])
    })
  )

  it.effect("is read again by the first call after five minutes, and then has its new name [CW-03]", () =>
    Effect.gen(function* () {
      const { answer, asked, get, logs } = yield* start(workspace)
      const renamed = { ...workspace, name: "prod", autostartSchedule: "0 9 * * 1-5" }
      answer(Effect.succeedSome(renamed))

      yield* TestClock.adjust("299999 millis")
      assert.deepStrictEqual(yield* get, Option.some(workspace))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* get, Option.some(renamed))
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* get, Option.some(renamed))

      assert.strictEqual(asked.length, 2)
      assert.deepStrictEqual(
        logs.map(({ level, message }) => [level, message]),
        [["Debug", "workspace changed"]]
      )
    })
  )

  it.effect("is there at the next reading after somebody has claimed it [CW-04]", () =>
    Effect.gen(function* () {
      const { answer, get } = yield* start(prebuild)

      answer(Effect.succeedSome(workspace))
      yield* TestClock.adjust("5 minutes")

      assert.deepStrictEqual(yield* get, Option.some(workspace))
    })
  )

  it.effect("stays as it was while it cannot be read, with a warning each time [CW-05]", () =>
    Effect.gen(function* () {
      const { answer, get, logs } = yield* start(workspace)
      const renamed = { ...workspace, name: "prod" }

      answer(away)
      for (let reading = 0; reading < 2; reading++) {
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(yield* get, Option.some(workspace))
      }
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn", "Warn"]
      )

      answer(Effect.succeedSome(renamed))
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* get, Option.some(renamed))
    })
  )

  it.effect("stays as it was when the workspace is not found, with a warning [CW-11]", () =>
    Effect.gen(function* () {
      const { answer, get, logs } = yield* start(workspace)

      answer(Effect.succeedNone)
      yield* TestClock.adjust("5 minutes")

      assert.deepStrictEqual(yield* get, Option.some(workspace))
      assert.deepStrictEqual(
        logs.map(({ level, message }) => [level, message]),
        [["Warn", "workspace not found, keeping the cached one"]]
      )
    })
  )

  it.effect("stays as it was when the workspace is a prebuild again", () =>
    Effect.gen(function* () {
      const { answer, get, logs } = yield* start(workspace)

      answer(Effect.succeedSome(prebuild))
      yield* TestClock.adjust("5 minutes")

      assert.deepStrictEqual(yield* get, Option.some(workspace))
      assert.deepStrictEqual(logs, [])
    })
  )

  it.effect("has its owner and name in the records of a change and of its end [CW-12]", () =>
    Effect.gen(function* () {
      const { answer, end, get, logs } = yield* start(workspace)
      answer(Effect.succeedSome({ ...workspace, name: "prod", ownerName: "grace" }))

      yield* TestClock.adjust("5 minutes")
      yield* get
      yield* end

      const annotations = {
        agentId: agent(1),
        workspaceId: workspace.id,
        workspaceName: "prod",
        ownerName: "grace"
      }
      assert.deepStrictEqual(
        logs.map(({ annotations, message }) => [message, annotations]),
        [
          ["workspace changed", annotations],
          ["workspace cache ended", annotations]
        ]
      )
    })
  )

  it.effect("is read once in five minutes at most, and by nobody without a call [CW-13]", () =>
    Effect.gen(function* () {
      const { asked, get } = yield* start(workspace)

      yield* TestClock.adjust("12 minutes")
      assert.lengthOf(asked, 0)
      yield* get
      yield* TestClock.adjust("299999 millis")
      yield* get
      assert.lengthOf(asked, 1)
      yield* TestClock.adjust("1 millis")
      yield* get
      assert.lengthOf(asked, 2)
    })
  )

  it.effect("is read by the next call if the call that read it was interrupted [CW-13]", () =>
    Effect.gen(function* () {
      const { answer, get } = yield* start(workspace)
      yield* TestClock.adjust("5 minutes")
      answer(Effect.never)
      yield* Fiber.interrupt(yield* Effect.forkChild(get, { startImmediately: true }))
      const renamed = { ...workspace, name: "prod" }
      answer(Effect.succeedSome(renamed))

      assert.deepStrictEqual(yield* get, Option.some(renamed))
    })
  )

  it.effect("is the same value, and nothing is logged, when nothing has changed [CW-06]", () =>
    Effect.gen(function* () {
      const { answer, asked, get, logs } = yield* start(workspace)
      const before = Option.getOrThrow(yield* get)

      answer(Effect.succeedSome({ ...workspace }))
      yield* TestClock.adjust("5 minutes")

      assert.strictEqual(Option.getOrThrow(yield* get), before)
      assert.strictEqual(asked.length, 1)
      assert.deepStrictEqual(logs, [])
    })
  )

  it.effect("is absent once the session has ended, and is read no more [CW-07]", () =>
    Effect.gen(function* () {
      const { asked, end, get, logs } = yield* start(workspace)

      yield* end
      assert.isTrue(Option.isNone(yield* get))
      yield* TestClock.adjust("1 hours")

      assert.isTrue(Option.isNone(yield* get))
      assert.deepStrictEqual(asked, [])
      assert.deepStrictEqual(
        logs.map(({ level, message }) => [level, message]),
        [["Debug", "workspace cache ended"]]
      )
    })
  )

  it.effect("ends while it is being read [CW-07]", () =>
    Effect.gen(function* () {
      const { answer, end, get } = yield* start(workspace)

      const reading = yield* Deferred.make<void>()
      answer(Effect.as(Deferred.await(reading), Option.some({ ...workspace, name: "prod" })))
      yield* TestClock.adjust("5 minutes")
      const call = yield* Effect.forkChild(get, { startImmediately: true })
      yield* end
      yield* Deferred.succeed(reading, undefined)

      assert.isTrue(Option.isNone(yield* Fiber.join(call)))
      assert.isTrue(Option.isNone(yield* get))
    })
  )

  it.effect("can be asked for while it is being read, and is then either whole [CW-10]", () =>
    Effect.gen(function* () {
      const { answer, get } = yield* start(workspace)
      const renamed = { ...workspace, name: "prod", ownerName: "grace", templateName: "kubernetes" }
      answer(Effect.delay(Effect.succeedSome(renamed), "1 seconds"))

      yield* TestClock.adjust("5 minutes")
      const reading = yield* Effect.forkChild(get, { startImmediately: true })
      const during = yield* Effect.all(
        Array.from({ length: 50 }, () => get),
        { concurrency: "unbounded" }
      )
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* Fiber.join(reading), Option.some(renamed))
      const after = yield* Effect.all(
        Array.from({ length: 50 }, () => get),
        { concurrency: "unbounded" }
      )

      for (const found of during) assert.deepStrictEqual(found, Option.some(workspace))
      for (const found of after) assert.deepStrictEqual(found, Option.some(renamed))
    })
  )
})
