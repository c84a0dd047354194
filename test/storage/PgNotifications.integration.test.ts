import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { type Notification, Notifications } from "../../src/agentapi/ports/Notifications.ts"
import { UserId } from "../../src/domain/Ids.ts"
import * as PgNotifications from "../../src/storage/PgNotifications.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"

const environment = PgNotifications.layer.pipe(Layer.provideMerge(Postgres.layer), Layer.provideMerge(Reactivity.layer))

const enqueue = (notification: Notification) => Notifications.use(({ enqueue }) => enqueue(notification))

const message = Effect.map(Seed.workspace, ({ ownerId, workspaceId }): Notification => ({
  userId: ownerId,
  template: "task_idle",
  labels: { task: "write a test", workspace: "dev" },
  data: { volumes: [{ path: "/home", threshold: "90%" }], more: null },
  targets: [workspaceId],
  createdBy: "test"
}))

/** The messages for a user, the oldest first. */
const enqueued = ({ userId }: Notification) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`
      SELECT template, labels, data, targets, created_by AS "createdBy", created_at AS "createdAt"
      FROM notification_messages WHERE user_id = ${userId} ORDER BY created_at`
  )

layer(environment, { concurrent: false })("PgNotifications", (it) => {
  it.effect("keeps a message as it was enqueued, with its time", () =>
    Effect.gen(function* () {
      const notification = yield* message
      yield* TestClock.setTime(1_000)

      yield* enqueue(notification)

      const { createdBy, data, labels, targets, template } = notification
      assert.deepStrictEqual(yield* enqueued(notification), [
        { template, labels, data, targets, createdBy, createdAt: new Date(1_000) }
      ])
    })
  )

  it.effect("ignores the same message on the same day, and takes it on the next", () =>
    Effect.gen(function* () {
      const notification = yield* message
      const { task, workspace } = { task: "write a test", workspace: "dev" }
      yield* TestClock.setTime(0)

      yield* enqueue(notification)
      yield* enqueue({ ...notification, labels: { workspace, task } })
      yield* TestClock.adjust("23 hours")
      yield* enqueue(notification)
      assert.strictEqual((yield* enqueued(notification)).length, 1)

      yield* TestClock.adjust("1 hour")
      yield* enqueue(notification)
      assert.strictEqual((yield* enqueued(notification)).length, 2)
    })
  )

  it.effect("takes a message that differs in any part, or in its key alone", () =>
    Effect.gen(function* () {
      const notification = yield* message
      const variants: ReadonlyArray<Notification> = [
        notification,
        { ...notification, template: "task_failed" },
        { ...notification, labels: {} },
        { ...notification, data: {} },
        { ...notification, targets: [] },
        { ...notification, dedupeKey: "12:01" },
        { ...notification, dedupeKey: "12:02" }
      ]

      for (const variant of [...variants, ...variants]) yield* enqueue(variant)

      assert.strictEqual((yield* enqueued(notification)).length, variants.length)
    })
  )

  it.effect("fails to enqueue a message for an unknown user", () =>
    Effect.gen(function* () {
      const notification = yield* message

      const error = yield* Effect.flip(enqueue({ ...notification, userId: Seed.newId(UserId) }))

      assert.deepInclude(error, { _tag: "StoreError", reason: "rejected" })
      assert.strictEqual(error.message, "cannot enqueue a notification")
    })
  )
})
