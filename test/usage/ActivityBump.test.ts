/** When a workspace is bumped, and with which next autostart. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import * as ActivityBump from "../../src/usage/ActivityBump.ts"
import { prebuildsUserId } from "../../src/domain/Workspace.ts"
import { workspace } from "../support/identity.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import { ActivityStore } from "../../src/usage/ActivityStore.ts"

const failed = (reason: StoreError["reason"]) =>
  Effect.fail(new StoreError({ operation: "do that", reason, cause: new Error("no route to host") }))

/** Bumps over a store of the test's own, on a Thursday at nine, and remembers what is asked of it. */
const start = Effect.fnUntraced(function* (store: Partial<typeof ActivityStore.Service> = {}) {
  const bumps: Array<readonly [id: string, at: string, nextAutostart: string | null]> = []
  const logs: Array<LogRecord> = []
  yield* TestClock.setTime(Date.UTC(2026, 0, 22, 9))
  const { bumpFor } = yield* Effect.provideService(ActivityBump.make, ActivityStore, {
    bump: (id, at, next) =>
      Effect.sync(() => void bumps.push([id, DateTime.formatIso(at), next && DateTime.formatIso(next)])),
    ...store
  })
  return {
    bumps,
    logs,
    bumpFor: (overrides: Partial<typeof workspace> = {}) =>
      bumpFor({ ...workspace, ...overrides }).pipe(collectLogs(logs))
  }
})

const nine = "2026-01-22T09:00:00.000Z"
const autostartSchedule = "CRON_TZ=Europe/Berlin 30 9 * * 1-5"

describe("ActivityBump", () => {
  it.effect("bumps now, with the next autostart where there is one", () =>
    Effect.gen(function* () {
      const { bumpFor, bumps } = yield* start()

      yield* bumpFor()
      yield* bumpFor({ autostartSchedule })

      assert.deepStrictEqual(bumps, [
        [workspace.id, nine, null],
        [workspace.id, nine, "2026-01-23T08:30:00.000Z"]
      ])
    })
  )

  it.effect("bumps without an autostart that cannot be found out, and logs that [ST-12]", () =>
    Effect.gen(function* () {
      const { bumpFor, bumps, logs } = yield* start()

      yield* bumpFor({ autostartSchedule: "every now and then" })

      assert.deepStrictEqual(bumps, [[workspace.id, nine, null]])
      assert.deepInclude(logs[0], { level: "Error", annotations: { workspaceId: workspace.id } })
      assert.strictEqual(logs.length, 1)
    })
  )

  it.effect("leaves a workspace alone that nobody has claimed", () =>
    Effect.gen(function* () {
      const { bumpFor, bumps } = yield* start()

      yield* bumpFor({ ownerId: prebuildsUserId })

      assert.deepStrictEqual(bumps, [])
    })
  )

  it.effect("logs that a deadline cannot be moved, and goes on", () =>
    Effect.gen(function* () {
      for (const [reason, level] of [
        ["unavailable", "Error"],
        ["cancelled", "Debug"]
      ] as const) {
        const { bumpFor, logs } = yield* start({ bump: () => failed(reason) })

        yield* bumpFor()

        assert.deepInclude(logs[0], { level, annotations: { workspaceId: workspace.id } })
        assert.include(logs[0]?.message, "deadline of a workspace not moved")
      }
    })
  )

  it.effect("gives up a deadline that the store does not move within two seconds, and logs that", () =>
    Effect.gen(function* () {
      const { bumpFor, logs } = yield* start({ bump: () => Effect.never })

      const bumping = yield* Effect.forkChild(bumpFor(), { startImmediately: true })
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(bumping.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      yield* Fiber.join(bumping)
      assert.deepInclude(logs[0], { level: "Error", annotations: { workspaceId: workspace.id } })
    })
  )
})

describe("nextAutostart", () => {
  const next = (schedule: string, after: string) =>
    ActivityBump.nextAutostart(schedule, DateTime.makeUnsafe(after)).pipe(
      Result.match({ onSuccess: DateTime.formatIso, onFailure: () => "none" })
    )

  it("is strictly later, on the days of the schedule, in its time zone", () => {
    assert.strictEqual(next(autostartSchedule, "2026-01-22T08:29:59Z"), "2026-01-22T08:30:00.000Z")
    assert.strictEqual(next(autostartSchedule, "2026-01-22T08:30:00Z"), "2026-01-23T08:30:00.000Z")
    assert.strictEqual(next(autostartSchedule, "2026-01-23T09:00:00Z"), "2026-01-26T08:30:00.000Z")
    // summer time has come
    assert.strictEqual(next(autostartSchedule, "2026-03-27T09:00:00Z"), "2026-03-30T07:30:00.000Z")
    assert.strictEqual(next("30 9 * * *", "2026-01-22T09:00:00Z"), "2026-01-22T09:30:00.000Z")
    assert.strictEqual(next("TZ=US/Central 0 8 * * SUN", "2026-01-22T09:00:00Z"), "2026-01-25T14:00:00.000Z")
  })

  it("is the same with white space around the schedule and behind its time zone", () => {
    for (const schedule of ["\n 30 9 * * * ", " TZ=UTC 30 9 * * *\n", "TZ=UTC \t30 9 *\n* *"]) {
      assert.strictEqual(next(schedule, "2026-01-22T09:00:00Z"), "2026-01-22T09:30:00.000Z", schedule)
    }
  })

  it("is none for a schedule of more than 255 characters", () => {
    const schedule = (length: number) => "30 9 * * *".padEnd(length, " ")

    assert.strictEqual(next(schedule(255), "2026-01-22T09:00:00Z"), "2026-01-22T09:30:00.000Z")
    const tooLong = ActivityBump.nextAutostart(schedule(256), DateTime.makeUnsafe(0))
    assert.include(Result.isFailure(tooLong) && tooLong.failure.message, "more than 255 characters")
  })

  it("is none for what is no schedule, or one that never comes", () => {
    for (const schedule of [
      "",
      "CRON_TZ=Nowhere/Land 30 9 * * *",
      "in TZ=UTC 30 9 * * *",
      "30 9 * *",
      "x y * * *",
      "0 0 30 2 *"
    ]) {
      assert.strictEqual(next(schedule, "2026-01-22T09:00:00Z"), "none", schedule)
    }
    const never = ActivityBump.nextAutostart("0 0 30 2 *", DateTime.makeUnsafe(0))
    assert.strictEqual(Result.isFailure(never) && never.failure.message, "a schedule that never comes")
  })
})
