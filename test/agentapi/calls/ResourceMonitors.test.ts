/** The sub-API of resource monitoring, called as an agent calls it. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Schema } from "effect"
import type * as Monitor from "../../../src/agentapi/session/ResourceMonitors.ts"
import * as ResourceMonitors from "../../../src/agentapi/calls/ResourceMonitors.ts"
import { calling, session } from "../../support/agentApi.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"
import type { Monitors } from "../../../src/agentapi/ports/ResourceMonitorStore.ts"

const monitor = { enabled: true, threshold: 80, state: "ok", debouncedUntil: DateTime.makeUnsafe(0) } as const

const failure = (operation: string) =>
  new StoreError({ operation, reason: "unavailable", cause: new Error("connection refused") })

/** Calls of a session whose monitors are these, and fail with these. */
const connect = Effect.fnUntraced(function* (monitors: Monitors, failures: ReadonlyArray<StoreError> = []) {
  const pushed: Array<ReadonlyArray<Monitor.Datapoint>> = []
  const logs: Array<LogRecord> = []
  const actor: Monitor.ResourceMonitors = {
    configuration: Effect.succeed(monitors),
    push: (points) =>
      Effect.sync(() => {
        pushed.push(points)
        return failures
      })
  }
  const handlers = yield* ResourceMonitors.make
  const of = session(agent(1), { monitors: actor })
  const push = calling(ResourceMonitors.PushResourcesMonitoringUsageRequest, handlers.PushResourcesMonitoringUsage, of)
  return {
    configuration: calling(Schema.Struct({}), handlers.GetResourcesMonitoringConfiguration, of)({}),
    push: (request: unknown) => collectLogs(logs)(push(request)),
    pushed,
    logs
  }
})

const none: Monitors = { memory: null, volumes: [] }

describe("GetResourcesMonitoringConfiguration", () => {
  it.effect("returns what is watched, with the constants, from what is known [RM-01, AP-09]", () =>
    Effect.gen(function* () {
      const { configuration } = yield* connect({
        memory: { ...monitor, enabled: false },
        volumes: [
          { ...monitor, path: "/home" },
          { ...monitor, path: "/data", enabled: false }
        ]
      })

      assert.deepStrictEqual(yield* configuration, {
        config: { num_datapoints: 20, collection_interval_seconds: 10 },
        memory: { enabled: false },
        volumes: [
          { enabled: true, path: "/home" },
          { enabled: false, path: "/data" }
        ]
      })
    })
  )

  it.effect("has no memory where none is watched [RM-02]", () =>
    Effect.gen(function* () {
      const { configuration } = yield* connect(none)

      assert.deepStrictEqual(yield* configuration, {
        config: { num_datapoints: 20, collection_interval_seconds: 10 },
        volumes: []
      })
    })
  )
})

describe("PushResourcesMonitoringUsage", () => {
  it.effect("hands on what the agent has found, with nothing where it found nothing [RM-02]", () =>
    Effect.gen(function* () {
      const { push, pushed } = yield* connect(none)

      const answer = yield* push({
        datapoints: [
          {
            collected_at: "2030-01-01T00:00:00Z",
            memory: { used: 1, total: 2 },
            volumes: [{ volume: "/home", used: 3, total: 4_000_000_000_000 }]
          },
          {},
          { memory: {}, volumes: [{}] }
        ]
      })
      yield* push({})

      assert.deepStrictEqual(answer, {})
      assert.deepStrictEqual(
        pushed.map((points) => points.map(({ memory, volumes }) => ({ memory, volumes }))),
        [
          [
            { memory: { used: 1, total: 2 }, volumes: [{ volume: "/home", used: 3, total: 4_000_000_000_000 }] },
            { memory: undefined, volumes: [] },
            { memory: { used: 0, total: 0 }, volumes: [{ volume: "", used: 0, total: 0 }] }
          ],
          []
        ]
      )
    })
  )

  it.effect("rejects values that are no amounts", () =>
    Effect.gen(function* () {
      const { push, pushed } = yield* connect(none)

      for (const used of [-1, 1.5, "1", null, 2 ** 60]) {
        const error = yield* Effect.flip(push({ datapoints: [{ memory: { used, total: 1 } }] }))
        assert.include(error.message, '["datapoints"][0]["memory"]["used"]')
      }
      assert.deepStrictEqual(pushed, [])
    })
  )

  it.effect("fails with all that could not be written, in one error, each logged with its cause [RM-15]", () =>
    Effect.gen(function* () {
      const failures = [failure("write the memory monitor"), failure("write the volume monitors")]
      const { logs, push } = yield* connect(none, failures)

      const error = yield* Effect.flip(push({ datapoints: [{}] }))

      assert.strictEqual(error._tag, "Unavailable")
      assert.strictEqual(error.message, "cannot write the memory monitor now; cannot write the volume monitors now")
      assert.deepStrictEqual(
        logs.map(({ level }) => level),
        ["Error", "Error"]
      )
    })
  )
})
