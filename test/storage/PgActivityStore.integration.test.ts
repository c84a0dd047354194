/** The rules of a bump, on real rows. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { WorkspaceId } from "../../src/domain/Ids.ts"
import * as PgActivityStore from "../../src/storage/PgActivityStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { ActivityStore } from "../../src/usage/ActivityStore.ts"

const hour = 3_600_000
const start = Date.UTC(2026, 0, 22, 9)

/** A time, in hours after the start of the day's work. */
const at = (hours: number) => DateTime.makeUnsafe(start + hours * hour)

/** Hours as a column holds them. */
const nanos = (hours: number) => BigInt(hours * hour) * 1_000_000n

interface Given {
  /** The deadline of the build, null for none. */
  readonly deadline: number | null
  readonly maxDeadline?: number
  readonly activityBump?: number
  readonly workspaceTtl?: number
  readonly defaultTtl?: number
  readonly allowUserAutostop?: boolean
  readonly allowUserAutostart?: boolean
  readonly transition?: string
  readonly jobStatus?: string
}

/** A workspace of which the latest build is as given. Times are hours after the start. */
const given = Effect.fnUntraced(function* ({ deadline, maxDeadline, ...rest }: Given) {
  const sql = yield* PgClient.PgClient
  const { templateId, workspaceId } = yield* Seed.workspace
  const { activityBump = 1, allowUserAutostop = true, defaultTtl = 0, workspaceTtl } = rest
  yield* sql`
    UPDATE templates SET activity_bump = ${nanos(activityBump)}, default_ttl = ${nanos(defaultTtl)},
      allow_user_autostop = ${allowUserAutostop}, allow_user_autostart = ${rest.allowUserAutostart ?? true}
    WHERE id = ${templateId}`
  yield* sql`UPDATE workspaces SET ttl = ${workspaceTtl === undefined ? null : nanos(workspaceTtl)}
    WHERE id = ${workspaceId}`
  yield* sql`
    INSERT INTO workspace_builds (id, workspace_id, build_number, transition, job_status, deadline, max_deadline)
    VALUES (gen_random_uuid(), ${workspaceId}, 2, ${rest.transition ?? "start"}, ${rest.jobStatus ?? "succeeded"},
      ${deadline === null ? null : DateTime.toDateUtc(at(deadline))},
      ${maxDeadline === undefined ? null : DateTime.toDateUtc(at(maxDeadline))})`
  return workspaceId
})

const deadlineOf = Effect.fnUntraced(function* (id: WorkspaceId) {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{ deadline: Date | null }>`
    SELECT deadline FROM workspace_builds WHERE workspace_id = ${id} AND build_number = 2`
  return row!.deadline && (row!.deadline.getTime() - start) / hour
})

/** The deadline of such a workspace after it was bumped at a time. */
const bumped = Effect.fnUntraced(function* (build: Given, now: number, nextAutostart?: number) {
  const id = yield* given(build)
  yield* (yield* ActivityStore).bump(id, at(now), nextAutostart === undefined ? null : at(nextAutostart))
  return yield* deadlineOf(id)
})

layer(PgActivityStore.layer.pipe(Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "PgActivityStore",
  (it) => {
    it.effect("moves a deadline by an hour, or by the setting of the template [ST-19]", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const id = yield* given({ deadline: 8 })
        yield* sql`UPDATE templates SET activity_bump = DEFAULT`
        yield* (yield* ActivityStore).bump(id, at(7.5), null)

        assert.strictEqual(yield* deadlineOf(id), 8.5)
        assert.strictEqual(yield* bumped({ deadline: 8, activityBump: 3 }, 7.5), 10.5)
      })
    )

    it.effect("moves it to the next autostart plus the time to live where a bump would cross that [ST-20]", () =>
      Effect.gen(function* () {
        const ttls = { workspaceTtl: 8, defaultTtl: 5 }

        assert.strictEqual(yield* bumped({ deadline: 23.5, ...ttls }, 23.25, 24), 32)
        assert.strictEqual(yield* bumped({ deadline: 23.5, ...ttls, allowUserAutostop: false }, 23.25, 24), 29)
        // an autostart that a bump does not reach, that is just reached, or that is over, changes nothing
        assert.strictEqual(yield* bumped({ deadline: 22.5, ...ttls }, 22, 24), 23)
        assert.strictEqual(yield* bumped({ deadline: 23.5, ...ttls }, 23, 24), 24)
        assert.strictEqual(yield* bumped({ deadline: 24.5, ...ttls }, 24, 24), 25)
        assert.strictEqual(yield* bumped({ deadline: 24.5, ...ttls }, 24.25, 24), 25.25)
        // without a time to live there is none to add
        assert.strictEqual(yield* bumped({ deadline: 23.5 }, 23.25, 24), 24.25)
      })
    )

    it.effect("never moves it beyond the maximum [ST-21]", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* bumped({ deadline: 8, maxDeadline: 8.25 }, 7.5), 8.25)
        assert.strictEqual(yield* bumped({ deadline: 8, maxDeadline: 9 }, 7.5), 8.5)
        assert.strictEqual(yield* bumped({ deadline: 23.5, maxDeadline: 30, workspaceTtl: 8 }, 23.25, 24), 30)
      })
    )

    it.effect("never moves it backwards [ST-22]", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* bumped({ deadline: 8 }, 1), 8)

        const id = yield* given({ deadline: 8 })
        const { bump } = yield* ActivityStore
        yield* Effect.all([bump(id, at(7.9), null), bump(id, at(7.5), null), bump(id, at(7.7), null)], {
          concurrency: "unbounded"
        })
        assert.strictEqual(yield* deadlineOf(id), 8.9)
      })
    )

    it.effect("leaves it until 5 % of the move have passed [ST-23]", () =>
      Effect.gen(function* () {
        const interval = { deadline: 10, activityBump: 10 }

        assert.strictEqual(yield* bumped(interval, 0.49), 10)
        assert.strictEqual(yield* bumped(interval, 0.5), 10)
        assert.strictEqual(yield* bumped(interval, 0.51), 10.51)
      })
    )

    it.effect("bumps a start that has ended and has a deadline, where the template has bumps [ST-24]", () =>
      Effect.gen(function* () {
        for (const jobStatus of ["pending", "running", "canceling", "unknown"]) {
          assert.strictEqual(yield* bumped({ deadline: 8, jobStatus }, 7.5), 8, jobStatus)
        }
        for (const jobStatus of ["succeeded", "failed", "canceled"]) {
          assert.strictEqual(yield* bumped({ deadline: 8, jobStatus }, 7.5), 8.5, jobStatus)
        }
        for (const transition of ["stop", "delete"]) {
          assert.strictEqual(yield* bumped({ deadline: 8, transition }, 7.5), 8, transition)
        }
        assert.strictEqual(yield* bumped({ deadline: null }, 7.5), null)
        assert.strictEqual(yield* bumped({ deadline: 8, activityBump: 0 }, 7.5), 8)
        assert.strictEqual(yield* bumped({ deadline: 23.5, activityBump: 0, workspaceTtl: 8 }, 23.25, 24), 23.5)
      })
    )

    it.effect("bumps the latest build alone, and nothing for an unknown workspace", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { bump } = yield* ActivityStore
        const id = yield* given({ deadline: 8 })
        yield* sql`
          INSERT INTO workspace_builds (id, workspace_id, build_number, transition, job_status)
          VALUES (gen_random_uuid(), ${id}, 3, 'stop', 'pending')`

        yield* bump(id, at(7.5), null)
        yield* bump(Seed.newId(WorkspaceId), at(7.5), null)

        assert.strictEqual(yield* deadlineOf(id), 8)
      })
    )

    it.effect("knows of no autostart where the template does not allow any [ST-20]", () =>
      Effect.gen(function* () {
        const build = { deadline: 23.5, workspaceTtl: 8, allowUserAutostart: false }

        assert.strictEqual(yield* bumped(build, 23.25, 24), 24.25)
      })
    )
  }
)
