/** A usage tracker over a store that remembers what it was asked, under the control of the test. */
import type { DateTime } from "effect"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { WorkspaceId } from "../../src/domain/Ids.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import { UsageStore } from "../../src/usage/UsageStore.ts"
import * as UsageTracker from "../../src/usage/UsageTracker.ts"
import { collectLogs, type LogRecord } from "./logs.ts"

export const workspace = (number: number) =>
  `10000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}` as WorkspaceId

type Write = UsageStore["Service"]["updateLastUsedAt"]

export const well: Write = () => Effect.void
export const failing: Write = () =>
  Effect.fail(
    new StoreError({
      operation: "write the last use of workspaces",
      reason: "unavailable",
      cause: "as the test wants it"
    })
  )
export const hanging: Write = () => Effect.never

/** Answers the writes given, in turn, and is well afterwards. */
export const inTurn = (...writes: ReadonlyArray<Write>): Write => {
  let call = 0
  return (ids, at) => (writes[call++] ?? well)(ids, at)
}

export const start = Effect.fnUntraced(function* (write: Write = well, options: UsageTracker.Options = {}) {
  const calls: Array<{ readonly ids: ReadonlyArray<WorkspaceId>; readonly at: DateTime.Utc }> = []
  const logs: Array<LogRecord> = []
  const scope = yield* Scope.make()
  const services = yield* UsageTracker.layer(options).pipe(
    Layer.provide(
      Layer.succeed(UsageStore, {
        updateLastUsedAt: (ids, at) =>
          Effect.suspend(() => {
            calls.push({ ids, at })
            return write(ids, at)
          })
      })
    ),
    Layer.buildWithScope(scope),
    collectLogs(logs)
  )
  const close = collectLogs(logs)(Scope.close(scope, Exit.void))
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(Effect.forkChild(close, { startImmediately: true }), (closing) =>
      Effect.andThen(TestClock.adjust("1 hours"), Fiber.join(closing))
    )
  )
  return {
    tracker: Context.get(services, UsageTracker.UsageTracker),
    calls,
    ids: () => calls.map(({ ids }) => ids),
    logs: () => logs.filter(({ message }) => message.includes("last use")),
    debugLogs: () => logs.filter(({ level }) => level === "Debug").map(({ message }) => message),
    close
  }
})

export const minute = TestClock.adjust("60 seconds")
