/**
 * Keeps a workspace running while it is in use: activity moves the deadline of its build.
 *
 * - How far, and whether at all, the store decides from the template and the build, in one step.
 * - A workspace that nobody has claimed yet is left alone.
 * - Where the workspace starts by itself, the bump knows when that is next. When that cannot be found out, the bump happens
 *   without, and that is logged.
 * - A bump never fails, and takes {@link patience} at most: what goes wrong is logged. The next activity makes up for it.
 */
import { type Cause, Context, Cron, DateTime, Effect, Layer, Result } from "effect"
import { isPrebuild, type Workspace } from "../domain/Workspace.ts"
import type { StoreError } from "../domain/StoreError.ts"
import { ActivityStore } from "./ActivityStore.ts"

export class ActivityBump extends Context.Service<
  ActivityBump,
  {
    /** Notes that a workspace is in use now. */
    readonly bumpFor: (workspace: Workspace) => Effect.Effect<void>
  }
>()("metadata-batcher/usage/ActivityBump") {}

/** The longest that a bump may take: agents wait for it with their reports. */
export const patience = "2 seconds"

export const make = Effect.gen(function* () {
  const store = yield* ActivityStore

  const autostartOf = ({ autostartSchedule }: Workspace, now: DateTime.Utc) =>
    autostartSchedule === null
      ? Effect.succeed(null)
      : Effect.catch(Effect.fromResult(nextAutostart(autostartSchedule, now)), (error) =>
          Effect.as(
            Effect.logError("the next autostart of a workspace is not known: it is bumped without", error),
            null
          )
        )

  const bumpFor = Effect.fn("ActivityBump.bumpFor")(
    function* (workspace: Workspace) {
      if (isPrebuild(workspace)) return
      const now = yield* DateTime.now
      yield* store.bump(workspace.id, now, yield* autostartOf(workspace, now))
    },
    Effect.timeout(patience),
    Effect.catch((error) =>
      Effect.logWithLevel(isCancelled(error) ? "Debug" : "Error")("the deadline of a workspace cannot be moved", error)
    ),
    (effect, { id }) => Effect.annotateLogs(effect, { workspaceId: id })
  )

  return ActivityBump.of({ bumpFor })
})

export const layer: Layer.Layer<ActivityBump, never, ActivityStore> = Layer.effect(ActivityBump, make)

/**
 * When a schedule starts a workspace next, strictly after a time.
 *
 * A schedule is a cron expression of five fields, with the time zone that it is meant in: `CRON_TZ=Europe/Berlin 30 9 *
 * * 1-5`. Without one it is meant in UTC.
 */
export const nextAutostart = (
  schedule: string,
  after: DateTime.Utc
): Result.Result<DateTime.Utc, Cron.CronParseError> => {
  const [, zone = "UTC", expression = schedule] = /^(?:CRON_)?TZ=(\S+)\s+(.*)$/.exec(schedule.trim()) ?? []
  return Result.flatMap(Cron.parse(expression, zone), (cron) =>
    Result.try({
      try: () => DateTime.fromDateUnsafe(Cron.next(cron, after)),
      // such as the 30th of February
      catch: () => new Cron.CronParseError({ message: "a schedule that never comes", input: schedule })
    })
  )
}

const isCancelled = (error: StoreError | Cause.TimeoutError) =>
  error._tag === "StoreError" && error.reason === "cancelled"
