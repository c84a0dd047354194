/** `UpdateLifecycle` and `UpdateStartup`, called as an agent calls them. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Metric, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { buildDuration } from "../../../src/agentapi/AgentMetrics.ts"
import * as ApiVersion from "../../../src/agentapi/ApiVersion.ts"
import * as Lifecycle from "../../../src/agentapi/calls/Lifecycle.ts"
import type { BuildId } from "../../../src/domain/Ids.ts"
import { calling, session } from "../../support/agentApi.ts"
import * as Announcements from "../../support/announcements.ts"
import { workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"
import { LifecycleStore, type StartedBuild } from "../../../src/agentapi/ports/LifecycleStore.ts"

const identity = session(agent(7)).identity
const announced = `agt_lifecycle_update of ${workspace.id} by ${agent(7)} on workspace_owner:${workspace.ownerId}`
const noon = "2031-05-01T12:00:00.000Z"

type Store = LifecycleStore["Service"]

/** A store that lets everything happen, and no build be complete. */
const start = Effect.fnUntraced(function* (
  overrides: Partial<Store> = {},
  announcements?: typeof Announcements.failing,
  apiVersion = ApiVersion.current
) {
  const happened: Array<unknown> = []
  const logs: Array<LogRecord> = []
  const note = (...things: ReadonlyArray<unknown>) => Effect.sync(() => void happened.push(...things))
  const api = yield* Effect.provide(
    Lifecycle.make,
    Layer.merge(
      Layer.succeed(LifecycleStore, {
        change: (agentId, change) => note({ agentId, ...change, changedAt: DateTime.formatIso(change.changedAt) }),
        completeStartup: (buildId) => Effect.as(note(`completed ${buildId}?`), Option.none()),
        introduce: (agentId, startup) => note({ agentId, ...startup }),
        ...overrides
      }),
      announcements ?? Announcements.into(happened)
    )
  )
  const lifecycle = calling(Lifecycle.UpdateLifecycleRequest, api.UpdateLifecycle, session(agent(7)))
  const startup = calling(Lifecycle.UpdateStartupRequest, api.UpdateStartup, session(agent(7), { apiVersion }))
  return {
    happened,
    logs,
    change: (state: string, changed_at: string | undefined = noon) =>
      collectLogs(logs)(lifecycle({ lifecycle: { state, changed_at } })),
    withoutTime: lifecycle({ lifecycle: { state: "OFF" } }),
    introduce: (request: object) => collectLogs(logs)(startup({ startup: request }))
  }
})

const failing = (reason: StoreError["reason"]) =>
  Effect.fail(new StoreError({ operation: "note that", reason, cause: new Error("as the test wants it") }))

/** The rejection of a request, as the agent gets it. */
const refusal = (request: Effect.Effect<unknown, unknown>) => Effect.map(Effect.flip(request), String)

const changed = (state: string, startedAt: string, readyAt: string) => ({
  agentId: agent(7),
  state,
  changedAt: noon,
  startedAt,
  readyAt
})

describe("UpdateLifecycle", () => {
  it.effect("accepts nine states and names any other in its error [LC-01]", () =>
    Effect.gen(function* () {
      const { change, happened } = yield* start()
      const states = [
        "CREATED",
        "STARTING",
        "START_TIMEOUT",
        "START_ERROR",
        "READY",
        "SHUTTING_DOWN",
        "SHUTDOWN_TIMEOUT",
        "SHUTDOWN_ERROR",
        "OFF"
      ]

      for (const state of states) assert.strictEqual((yield* change(state)).state, state.toLowerCase())
      assert.deepStrictEqual(
        happened.flatMap((thing) =>
          typeof thing === "object" && thing !== null && "state" in thing ? thing.state : []
        ),
        states.map((state) => state.toLowerCase())
      )
      for (const state of ["UNSPECIFIED", "ready", "", "__proto__"]) {
        assert.include(yield* refusal(change(state)), `“${state}” is none of CREATED, STARTING, `)
      }
    })
  )

  it.effect("sets the start and clears readiness when an agent is starting [LC-02]", () =>
    Effect.gen(function* () {
      const { change, happened } = yield* start()

      yield* change("STARTING")

      assert.deepStrictEqual(happened, [changed("starting", "set", "clear"), announced])
    })
  )

  for (const state of ["READY", "START_TIMEOUT", "START_ERROR"]) {
    it.effect(`sets readiness, and the start if it is missing, at ${state} [LC-03]`, () =>
      Effect.gen(function* () {
        const { change, happened } = yield* start()

        yield* change(state)

        assert.deepStrictEqual(happened.slice(0, 2), [changed(state.toLowerCase(), "set if missing", "set"), announced])
      })
    )
  }

  for (const state of ["CREATED", "SHUTTING_DOWN", "SHUTDOWN_TIMEOUT", "SHUTDOWN_ERROR", "OFF"]) {
    it.effect(`keeps both times at ${state} [LC-04]`, () =>
      Effect.gen(function* () {
        const { change, happened } = yield* start()

        yield* change(state)

        assert.deepStrictEqual(happened, [changed(state.toLowerCase(), "keep", "keep"), announced])
      })
    )
  }

  it.effect("takes the zero time, and none at all, for now, and returns what it took [LC-05]", () =>
    Effect.gen(function* () {
      const { change, happened, withoutTime } = yield* start()
      yield* TestClock.setTime(5_000)
      const now = DateTime.makeUnsafe(5_000)

      assert.deepStrictEqual(yield* change("OFF", "0001-01-01T00:00:00Z"), { state: "off", changed_at: now })
      assert.deepStrictEqual(yield* withoutTime, { state: "off", changed_at: now })
      assert.deepStrictEqual(yield* change("OFF"), { state: "off", changed_at: DateTime.makeUnsafe(noon) })
      assert.deepInclude(happened[0], { changedAt: "1970-01-01T00:00:05.000Z" })
      const answer = yield* Schema.encodeEffect(Lifecycle.UpdateLifecycle.successSchema)(yield* change("START_ERROR"))
      assert.deepStrictEqual(answer, { state: "START_ERROR", changed_at: noon })
    })
  )

  it.effect("rejects a text that is no time, and a time out of range", () =>
    Effect.gen(function* () {
      const { change, happened } = yield* start()

      assert.include(yield* refusal(change("OFF", "yesterday")), "DateTime")
      assert.include(yield* refusal(change("OFF", "-200000-01-01T00:00:00Z")), "a time of the years 1 to 9999")
      assert.include(yield* refusal(change("OFF", "+010000-01-01T00:00:00Z")), "a time of the years 1 to 9999")
      assert.deepStrictEqual(happened, [])
    })
  )

  it.effect("announces a change once it is written, and warns when it cannot [LC-06, BK-07]", () =>
    Effect.gen(function* () {
      const { change, happened, logs } = yield* start({}, Announcements.failing)

      yield* change("OFF")

      assert.deepStrictEqual(happened, [changed("off", "keep", "keep")])
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Warn"]
      )
    })
  )

  it.effect("fails when the write fails, which is logged unless it was cancelled [LC-07]", () =>
    Effect.gen(function* () {
      for (const [reason, level] of [
        ["unavailable", "Error"],
        ["cancelled", "Debug"]
      ] as const) {
        const { change, happened, introduce, logs } = yield* start({
          change: () => failing(reason),
          introduce: () => failing(reason)
        })

        assert.deepInclude(yield* Effect.flip(change("READY")), { _tag: "Unavailable" })
        assert.deepInclude(yield* Effect.flip(introduce({ version: "v1.0.0" })), { _tag: "Unavailable" })
        assert.deepStrictEqual(
          logs.map(({ level }) => level),
          [level, level]
        )
        assert.deepStrictEqual(happened, [])
      }
    })
  )
})

describe("the duration of builds", () => {
  const build: StartedBuild = {
    createdAt: DateTime.makeUnsafe("2031-05-01T11:59:15Z"),
    readyAt: DateTime.makeUnsafe(noon),
    templateName: "docker",
    organizationName: "acme",
    transition: "start",
    status: "timeout",
    isPrebuild: false
  }

  /** The metrics of an effect. */
  const measured = Effect.fnUntraced(function* (effect: Effect.Effect<unknown, unknown>) {
    const registry = new Map()
    const exit = yield* Effect.exit(Effect.provideService(effect, Metric.MetricRegistry, registry))
    assert.strictEqual(exit._tag, "Success")
    const found = yield* Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry)
    return found.filter(({ id }) => id === buildDuration.id)
  })

  it.effect("is observed with its labels when the store says that all agents have started [LC-11]", () =>
    Effect.gen(function* () {
      const asked: Array<BuildId> = []
      const answers = [Option.none(), Option.some(build), Option.none()]
      const { change } = yield* start({
        completeStartup: (buildId) => Effect.sync(() => (asked.push(buildId), answers.shift()!))
      })

      const series = yield* measured(
        Effect.forEach(["STARTING", "READY", "START_TIMEOUT", "SHUTTING_DOWN", "START_ERROR"], (state) => change(state))
      )

      assert.deepStrictEqual(asked, [identity.buildId, identity.buildId, identity.buildId])
      assert.strictEqual(series.length, 1)
      assert.strictEqual(series[0]!.id, "coderd_template_workspace_build_duration_seconds")
      assert.deepStrictEqual(series[0]!.attributes, {
        template_name: "docker",
        organization_name: "acme",
        transition: "start",
        status: "timeout",
        is_prebuild: "false"
      })
      assert.deepInclude(series[0]!.state, { count: 1, sum: 45 })
      assert.deepStrictEqual(series[0]!.type === "Histogram" && series[0]!.state.buckets.map(([limit]) => limit), [
        1,
        10,
        30,
        60,
        300,
        600,
        1_800,
        3_600,
        Infinity
      ])
    })
  )

  it.effect("is not observed without its times, which is a warning and no error [LC-12]", () =>
    Effect.gen(function* () {
      const zero = DateTime.makeUnsafe("0001-01-01T00:00:00Z")
      const answers: ReadonlyArray<ReturnType<Store["completeStartup"]>> = [
        failing("unavailable"),
        Effect.succeedSome({ ...build, readyAt: zero }),
        Effect.succeedSome({ ...build, createdAt: zero }),
        Effect.succeedSome({ ...build, readyAt: DateTime.subtract(build.createdAt, { seconds: 1 }) })
      ]

      for (const answer of answers) {
        const { change, happened, logs } = yield* start({ completeStartup: () => answer })
        assert.deepStrictEqual(yield* measured(change("READY")), [])
        assert.deepStrictEqual(
          logs.map(({ level }) => level),
          ["Warn"]
        )
        assert.include(happened, announced)
      }
    })
  )
})

describe("UpdateStartup", () => {
  it.effect("cuts a directory of more than 4 096 characters, because an error would end the connection [AP-10]", () =>
    Effect.gen(function* () {
      const { happened, introduce } = yield* start()

      yield* introduce({ version: "v2.31.0", expanded_directory: `/${"\0a".repeat(5_000)}` })
      yield* introduce({ version: "v2.31.0", expanded_directory: `/${"a".repeat(5_000)}` })

      assert.deepInclude(happened[1], { expandedDirectory: `/${"a".repeat(4_095)}` })
      assert.notInclude(JSON.stringify(happened[0]), "\\u0000")
    })
  )

  it.effect("rejects a version that is no semantic version with a v [LC-08]", () =>
    Effect.gen(function* () {
      const { happened, introduce } = yield* start()

      for (const version of ["v2.31.0", "v0.0.0-devel+a1b2c3", "v1.2.3-rc.1.x-y", "v1", "v1.2"]) {
        yield* introduce({ version })
        assert.deepInclude(happened.pop(), { version })
      }
      const bad = ["2.31.0", "", "v", "v01.0.0", "v1.2.3-01", "v1.2-rc", "v1.2.3 ", "V1.2.3\n", `v${"1".repeat(255)}`]
      for (const version of bad) assert.include(yield* refusal(introduce({ version })), "version")
      assert.deepStrictEqual(happened, [])
    })
  )

  it.effect("stores each subsystem once, in their order, and rejects one that is not known [LC-09]", () =>
    Effect.gen(function* () {
      const { happened, introduce } = yield* start()

      const answer = yield* introduce({
        version: "v2.31.0",
        expanded_directory: "/home/ada",
        subsystems: ["EXECTRACE", "ENVBOX", "EXECTRACE", "ENVBUILDER"]
      })

      assert.deepInclude(happened[0], {
        agentId: agent(7),
        version: "v2.31.0",
        expandedDirectory: "/home/ada",
        subsystems: ["envbox", "envbuilder", "exectrace"]
      })
      assert.deepStrictEqual(yield* Schema.encodeEffect(Lifecycle.UpdateStartup.successSchema)(answer), {
        version: "v2.31.0",
        expanded_directory: "/home/ada",
        subsystems: ["EXECTRACE", "ENVBOX", "EXECTRACE", "ENVBUILDER"]
      })
      for (const subsystem of ["SUBSYSTEM_UNSPECIFIED", "envbox"]) {
        assert.include(
          yield* refusal(introduce({ version: "v1.0.0", subsystems: [subsystem] })),
          `“${subsystem}” is none of ENVBOX, ENVBUILDER, EXECTRACE`
        )
      }
    })
  )

  it.effect("stores the version of the API that the connection speaks, which cannot be missing [LC-10]", () =>
    Effect.gen(function* () {
      for (const [spoken, stored] of [
        [ApiVersion.current, "2.10"],
        [ApiVersion.first, "2.0"]
      ] as const) {
        const { happened, introduce } = yield* start({}, undefined, spoken)

        yield* introduce({ version: "v2.31.0" })

        assert.deepInclude(happened[0], { apiVersion: stored, expandedDirectory: "", subsystems: [] })
      }
    })
  )
})
