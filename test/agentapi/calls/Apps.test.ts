/** `BatchUpdateAppHealths` and `UpdateAppStatus`, called as an agent calls them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { ActivityBump } from "../../../src/usage/ActivityBump.ts"
import * as Apps from "../../../src/agentapi/calls/Apps.ts"
import { type AddedStatus, AppStore } from "../../../src/agentapi/ports/AppStore.ts"
import { Notifications } from "../../../src/agentapi/ports/Notifications.ts"
import { AppId } from "../../../src/domain/Ids.ts"
import { calling, session } from "../../support/agentApi.ts"
import * as Announcements from "../../support/announcements.ts"
import { workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"

const app = (number: number) => AppId.make(`00000000-0000-4000-a000-00000000000${number}`)

const announced = (kind: string) => `${kind} of ${workspace.id} by ${agent(7)} on workspace_owner:${workspace.ownerId}`

interface World {
  readonly store?: Partial<AppStore["Service"]>
  readonly enqueue?: Notifications["Service"]["enqueue"]
  readonly announcements?: typeof Announcements.failing
}

/** The effects of a call, in order. */
const start = Effect.fnUntraced(function* (world: World = {}) {
  const happened: Array<unknown> = []
  const logs: Array<LogRecord> = []
  const note = (thing: unknown) => Effect.sync(() => void happened.push(thing))
  const api = yield* Effect.provide(
    Apps.make,
    Layer.mergeAll(
      Layer.mock(AppStore)({ setHealths: (_, healths) => note({ healths }), ...world.store }),
      world.announcements ?? Announcements.into(happened),
      Layer.succeed(Notifications, { enqueue: world.enqueue ?? ((notification) => note({ notification })) }),
      Layer.succeed(ActivityBump, { bumpFor: (workspace) => note({ bumped: workspace.id }) })
    )
  )
  const healths = calling(Apps.BatchUpdateAppHealthsRequest, api.BatchUpdateAppHealths, session(agent(7)))
  const status = calling(Apps.UpdateAppStatusRequest, api.UpdateAppStatus, session(agent(7)))
  return {
    happened,
    logs,
    report: (...updates: ReadonlyArray<readonly [id: string, health: string]>) =>
      collectLogs(logs)(healths({ updates: updates.map(([id, health]) => ({ id, health })) })),
    healths,
    say: (request: object) => collectLogs(logs)(status({ slug: "claude", state: "IDLE", ...request }))
  }
})

const failing = Effect.fail(
  new StoreError({ operation: "do that", reason: "unavailable", cause: new Error("as the test wants it") })
)

const refusal = (request: Effect.Effect<unknown, unknown>) => Effect.map(Effect.flip(request), String)

/** Three apps that are looked after, and one that is not. */
const apps: Partial<AppStore["Service"]> = {
  healths: () =>
    Effect.succeed([
      { id: app(1), health: "initializing", isChecked: true },
      { id: app(2), health: "healthy", isChecked: true },
      { id: app(3), health: "unhealthy", isChecked: true },
      { id: app(4), health: "disabled", isChecked: false }
    ])
}

describe("BatchUpdateAppHealths", () => {
  it.effect("makes no query when there is nothing to update [AA-01]", () =>
    Effect.gen(function* () {
      const { happened, healths, report } = yield* start({ store: { healths: () => Effect.die("it was asked") } })

      assert.deepStrictEqual(yield* report(), {})
      assert.deepStrictEqual(yield* healths({}), {})
      assert.deepStrictEqual(happened, [])
    })
  )

  it.effect("rejects an id that is no UUID [AA-02]", () =>
    Effect.gen(function* () {
      const { happened, report } = yield* start({ store: apps })

      for (const id of ["", "app", `${app(1)}0`]) assert.include(yield* refusal(report([id, "HEALTHY"])), "a UUID")
      assert.deepStrictEqual(happened, [])
    })
  )

  it.effect("rejects an app that the agent does not have, and writes nothing of the others [AA-03]", () =>
    Effect.gen(function* () {
      const { happened, report } = yield* start({ store: apps })

      const error = yield* Effect.flip(report([app(1), "HEALTHY"], [app(9), "HEALTHY"]))

      assert.deepInclude(error, {
        _tag: "InvalidRequest",
        field: "updates[1].id",
        problem: "the agent has no such app"
      })
      assert.deepStrictEqual(happened, [])
    })
  )

  it.effect("rejects an app that has no health check [AA-04]", () =>
    Effect.gen(function* () {
      const { happened, report } = yield* start({ store: apps })

      const error = yield* Effect.flip(report([app(4), "HEALTHY"], [app(1), "HEALTHY"]))

      assert.deepInclude(error, { field: "updates[0].id", problem: "the app has no health check" })
      assert.deepStrictEqual(happened, [])
    })
  )

  it.effect("names a health that is not known [AA-05]", () =>
    Effect.gen(function* () {
      const { happened, report } = yield* start({ store: apps })

      for (const health of ["APP_HEALTH_UNSPECIFIED", "healthy"]) {
        assert.include(
          yield* refusal(report([app(1), "HEALTHY"], [app(2), health])),
          `“${health}” is none of DISABLED, INITIALIZING, HEALTHY, UNHEALTHY`
        )
      }
      assert.deepStrictEqual(happened, [])
    })
  )

  it.effect("neither writes nor announces health that has not changed [AA-06]", () =>
    Effect.gen(function* () {
      const { happened, report } = yield* start({ store: apps })

      assert.deepStrictEqual(yield* report([app(2), "HEALTHY"], [app(3), "UNHEALTHY"]), {})
      assert.deepStrictEqual(happened, [])
    })
  )

  it.effect("writes what has changed at once, the last of each app, and announces it once [AA-07]", () =>
    Effect.gen(function* () {
      const { happened, report } = yield* start({ store: apps })

      yield* report([app(1), "UNHEALTHY"], [app(2), "HEALTHY"], [app(1), "HEALTHY"], [app(3), "DISABLED"])

      assert.deepStrictEqual(happened, [
        {
          healths: [
            { id: app(1), health: "healthy" },
            { id: app(3), health: "disabled" }
          ]
        },
        announced("app_health")
      ])
    })
  )

  it.effect("fails when something cannot be read or written, and warns when it cannot be announced [BK-07]", () =>
    Effect.gen(function* () {
      for (const world of [{ store: { healths: () => failing } }, { store: { ...apps, setHealths: () => failing } }]) {
        const { report } = yield* start(world)
        assert.deepInclude(yield* Effect.flip(report([app(1), "HEALTHY"])), { _tag: "Unavailable" })
      }
      const silent = yield* start({ store: apps, announcements: Announcements.failing })
      yield* silent.report([app(1), "HEALTHY"])
      assert.deepStrictEqual(
        silent.logs.map(({ level }) => level),
        ["Warn"]
      )
    })
  )
})

/** A store that finds this where a status is added. */
const finding = (found: Partial<AddedStatus>, happened: Array<unknown> = []): Partial<AppStore["Service"]> => ({
  addStatus: (agentId, workspaceId, { createdAt, ...status }) =>
    Effect.sync(() => {
      happened.push({ agentId, workspaceId, ...status, createdAt: createdAt.epochMilliseconds })
      return Option.some({ appId: app(1), previous: null, isAgentReady: true, task: null, ...found })
    })
})

describe("UpdateAppStatus", () => {
  it.effect("takes a message of 160 bytes and rejects one of 161 [AA-08]", () =>
    Effect.gen(function* () {
      const added: Array<unknown> = []
      const { say } = yield* start({ store: finding({}, added) })

      for (const message of ["m".repeat(160), "€".repeat(53)]) {
        yield* say({ message })
        assert.deepInclude(added.pop(), { message })
      }
      for (const message of ["m".repeat(161), "€".repeat(54)]) {
        const error = yield* refusal(say({ message }))
        assert.include(error, "at most 160 bytes")
        assert.include(error, '["message"]')
      }
      assert.deepStrictEqual(added, [])
    })
  )

  it.effect("names a state that is not known [AA-09]", () =>
    Effect.gen(function* () {
      const { say } = yield* start({ store: finding({}) })

      for (const state of ["WORKING", "IDLE", "COMPLETE", "FAILURE"]) yield* say({ state })
      const error = yield* refusal(say({ state: "SLEEPING" }))
      assert.include(error, "“SLEEPING” is none of WORKING, IDLE, COMPLETE, FAILURE")
      assert.include(error, '["state"]')
    })
  )

  it.effect("rejects a slug that no app of the agent has [AA-10]", () =>
    Effect.gen(function* () {
      const { happened, say } = yield* start({ store: { addStatus: () => Effect.succeedNone } })

      const error = yield* Effect.flip(say({ slug: "nobody" }))

      assert.deepInclude(error, { _tag: "InvalidRequest", field: "slug" })
      assert.deepStrictEqual(happened, [])
    })
  )

  it.effect("takes an address of 2 048 characters and rejects a longer one [AP-10]", () =>
    Effect.gen(function* () {
      const added: Array<unknown> = []
      const { say } = yield* start({ store: finding({}, added) })
      const uri = `https://example.com/${"a".repeat(2_028)}`

      yield* say({ uri })
      const error = yield* refusal(say({ uri: `${uri}a` }))

      assert.include(error, "at most 2048 characters")
      assert.include(error, '["uri"]')
      assert.lengthOf(added, 1)
      assert.deepInclude(added[0], { uri })
    })
  )

  it.effect("keeps a message without control characters and markup [AA-11]", () =>
    Effect.gen(function* () {
      const added: Array<unknown> = []
      const { say } = yield* start({ store: finding({}, added) })

      yield* say({ message: " \u001b[31mWrote\u001b[0m <b>three</b>\n\tfiles\u0000\u0007 " })

      assert.deepInclude(added[0], { message: "Wrote three files" })
    })
  )

  it.effect("keeps every status with the time of the server, and an empty address as none [AA-12]", () =>
    Effect.gen(function* () {
      const added: Array<unknown> = []
      const { say } = yield* start({ store: finding({ previous: "idle" }, added) })
      yield* TestClock.setTime(7_000)

      yield* say({ message: "done", uri: "https://example.com/pr/1" })
      yield* say({ message: "done", uri: "" })
      yield* say({})

      const same = { agentId: agent(7), workspaceId: workspace.id, slug: "claude", state: "idle", createdAt: 7_000 }
      assert.deepStrictEqual(added, [
        { ...same, message: "done", uri: "https://example.com/pr/1" },
        { ...same, message: "done", uri: null },
        { ...same, message: "", uri: null }
      ])
    })
  )

  it.effect("announces a status once it is kept, and warns when it cannot [AA-13, BK-07]", () =>
    Effect.gen(function* () {
      const { happened, say } = yield* start({ store: finding({ previous: "idle" }) })
      yield* say({})
      assert.deepStrictEqual(happened, [announced("agt_app_status_update")])

      const added: Array<unknown> = []
      const silent = yield* start({ store: finding({}, added), announcements: Announcements.failing })
      yield* silent.say({})
      assert.strictEqual(added.length, 1)
      assert.deepStrictEqual(
        silent.logs.map(({ level }) => level),
        ["Warn"]
      )

      const broken = yield* start({ store: { addStatus: () => failing } })
      assert.deepInclude(yield* Effect.flip(broken.say({})), { _tag: "Unavailable" })
      assert.deepStrictEqual(broken.happened, [])
    })
  )

  /** The messages that a state leads to. */
  const messages = Effect.fnUntraced(function* (state: string, found: Partial<AddedStatus>) {
    const { happened, say } = yield* start({ store: finding({ task: { name: "fix it" }, ...found }) })
    yield* say({ state })
    return happened.flatMap((thing) =>
      typeof thing === "object" && thing !== null && "notification" in thing ? thing.notification : []
    )
  })

  it.effect("notifies the owner of a task of each other state, by its own text, once a minute [AA-14]", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2031, 4, 1, 12, 3, 59, 999))

      for (const [state, previous, template] of [
        ["WORKING", "idle", "task_working"],
        ["IDLE", "working", "task_idle"],
        ["COMPLETE", "working", "task_completed"],
        ["FAILURE", null, "task_failed"]
      ] as const) {
        assert.deepStrictEqual(yield* messages(state, { previous }), [
          {
            userId: workspace.ownerId,
            template,
            labels: { task: "fix it", workspace: "dev" },
            data: {},
            targets: [workspace.id, workspace.ownerId, workspace.organizationId, app(1)],
            createdBy: "agent-api-app-status",
            dedupeKey: "2031-05-01T12:03:00.000Z"
          }
        ])
      }
    })
  )

  it.effect(
    "does not notify without a task, before the agent is ready, of the same, or of the first work [AA-14]",
    () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* messages("IDLE", { previous: "working", task: null }), [])
        assert.deepStrictEqual(yield* messages("IDLE", { previous: "working", isAgentReady: false }), [])
        assert.deepStrictEqual(yield* messages("IDLE", { previous: "idle" }), [])
        assert.deepStrictEqual(yield* messages("WORKING", { previous: null }), [])
        assert.strictEqual((yield* messages("IDLE", { previous: null })).length, 1)
      })
  )

  it.effect("only warns when a message cannot be enqueued [AA-14]", () =>
    Effect.gen(function* () {
      const { happened, logs, say } = yield* start({
        store: finding({ previous: "working", task: { name: "fix it" } }),
        enqueue: () => failing
      })

      assert.deepStrictEqual(yield* say({}), {})
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn"]
      )
      assert.deepStrictEqual(happened, [announced("agt_app_status_update"), { bumped: workspace.id }])
    })
  )

  it.effect("bumps the activity of the workspace when an app works, or has worked, and not else [AA-15]", () =>
    Effect.gen(function* () {
      const bumps = Effect.fnUntraced(function* (state: string, previous: AddedStatus["previous"]) {
        const { happened, say } = yield* start({ store: finding({ previous }) })
        yield* say({ state })
        return happened.slice(1)
      })
      const bumped = [{ bumped: workspace.id }]

      assert.deepStrictEqual(yield* bumps("WORKING", null), bumped)
      assert.deepStrictEqual(yield* bumps("WORKING", "working"), bumped)
      assert.deepStrictEqual(yield* bumps("COMPLETE", "working"), bumped)
      assert.deepStrictEqual(yield* bumps("COMPLETE", "idle"), [])
      assert.deepStrictEqual(yield* bumps("IDLE", null), [])
    })
  )
})
