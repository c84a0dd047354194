/**
 * Keeps a workspace running while it is in use: activity moves the deadline of its build.
 *
 * - The store decides from the template and the build whether the deadline moves, and how far, in one statement.
 * - A prebuilt workspace that nobody has claimed is left alone.
 * - The bump passes the next autostart of the workspace on. A schedule that cannot be parsed is logged, and the bump happens
 *   without an autostart.
 * - A bump never fails and takes at most {@link bumpTimeout}: errors are logged, and the next activity makes up for it.
 */
import { type Cause, Context, Cron, DateTime, Effect, Layer, Result } from "effect"
import { isPrebuild, type Workspace } from "../domain/Workspace.ts"
import type { StoreError } from "../domain/StoreError.ts"
import { ActivityStore } from "./ActivityStore.ts"

export class ActivityBump extends Context.Service<
  ActivityBump,
  {
    /** Moves the deadline of a workspace that is in use now. */
    readonly bumpFor: (workspace: Workspace) => Effect.Effect<void>
  }
>()("metadata-batcher/usage/ActivityBump") {}

/** The longest time of a bump, for which the report of an agent waits. */
export const bumpTimeout = "2 seconds"

export const make = Effect.gen(function* () {
  const store = yield* ActivityStore

  const autostartOf = ({ autostartSchedule }: Workspace, now: DateTime.Utc) =>
    autostartSchedule === null
      ? Effect.succeed(null)
      : Effect.catch(Effect.fromResult(nextAutostart(autostartSchedule, now)), (error) =>
          Effect.as(Effect.logError("next autostart of a workspace unknown", error), null)
        )

  const bumpFor = Effect.fn("ActivityBump.bumpFor")(
    function* (workspace: Workspace) {
      if (isPrebuild(workspace)) return
      const now = yield* DateTime.now
      yield* store.bump(workspace.id, now, yield* autostartOf(workspace, now))
    },
    Effect.timeout(bumpTimeout),
    Effect.catch((error) =>
      Effect.logWithLevel(isCancelled(error) ? "Debug" : "Error")("deadline of a workspace not moved", error)
    ),
    (effect, { id }) => Effect.annotateLogs(effect, { workspaceId: id })
  )

  return ActivityBump.of({ bumpFor })
})

export const layer: Layer.Layer<ActivityBump, never, ActivityStore> = Layer.effect(ActivityBump, make)

/** The longest schedule that is parsed, in characters. */
const maxSchedule = 255

/**
 * Returns the next start of a workspace by its schedule, strictly after a time.
 *
 * A schedule is a cron expression of five fields after its time zone: `CRON_TZ=Europe/Berlin 30 9 * * 1-5`. The default zone
 * is UTC.
 */
export const nextAutostart = (
  schedule: string,
  after: DateTime.Utc
): Result.Result<DateTime.Utc, Cron.CronParseError> => {
  if (schedule.length > maxSchedule) {
    return Result.fail(new Cron.CronParseError({ message: `a schedule of more than ${maxSchedule} characters` }))
  }
  const zoned = /^(?:CRON_)?TZ=(\S+)(.*)/s.exec(schedule.trim())
  return Result.flatMap(Cron.parse(zoned?.[2] ?? schedule, zoned?.[1] ?? "UTC"), (cron) =>
    Result.try({
      try: () => DateTime.fromDateUnsafe(Cron.next(cron, after)),
      // for example the 30th of February
      catch: () => new Cron.CronParseError({ message: "a schedule that never comes", input: schedule })
    })
  )
}

const isCancelled = (error: StoreError | Cause.TimeoutError) =>
  error._tag === "StoreError" && error.reason === "cancelled"
