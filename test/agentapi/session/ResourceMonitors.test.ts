/** The actor under the test clock over a store and notifications that remember what they were asked. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { type Notification, Notifications } from "../../../src/agentapi/ports/Notifications.ts"
import * as ResourceMonitors from "../../../src/agentapi/session/ResourceMonitors.ts"
import { workspace } from "../../support/identity.ts"
import { agent, at } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"
import {
  ResourceMonitorStore,
  type Monitors,
  type VolumeMonitor
} from "../../../src/agentapi/ports/ResourceMonitorStore.ts"

const never = at(-1_700_000_000_000)

const memory = { enabled: true, threshold: 90, state: "ok", debouncedUntil: never } as const

const volume = (path: string, overrides: Partial<VolumeMonitor> = {}) => ({
  path,
  enabled: true,
  threshold: 80,
  state: "ok" as const,
  debouncedUntil: never,
  ...overrides
})

const away = (operation: string) =>
  Effect.fail(new StoreError({ operation, reason: "unavailable", cause: new Error("away") }))

/** The monitors of a session; `written` and `told` grow with what they ask. */
const start = Effect.fnUntraced(function* (monitors: Monitors) {
  yield* TestClock.setTime(1_000)
  const written: Array<ReadonlyArray<unknown>> = []
  const told: Array<Notification> = []
  const world = {
    putMemory: Effect.void as Effect.Effect<void, StoreError>,
    putVolumes: Effect.void as Effect.Effect<void, StoreError>,
    enqueue: Effect.void as Effect.Effect<void, StoreError>
  }
  let loads = 0
  const millis = DateTime.toEpochMillis
  const started = yield* ResourceMonitors.load(agent(1), Effect.succeed(workspace)).pipe(
    Effect.provideService(ResourceMonitorStore, {
      load: () =>
        Effect.sync(() => {
          loads++
          return monitors
        }),
      putMemory: (agentId, { debouncedUntil, state }, at) =>
        Effect.andThen(
          world.putMemory,
          Effect.sync(() => written.push([agentId, "memory", state, millis(debouncedUntil), millis(at)]))
        ),
      putVolumes: (agentId, monitors, at) =>
        Effect.andThen(
          world.putVolumes,
          Effect.sync(() => {
            for (const { debouncedUntil, path, state } of monitors) {
              written.push([agentId, path, state, millis(debouncedUntil), millis(at)])
            }
          })
        )
    }),
    Effect.provideService(Notifications, {
      enqueue: (notification) =>
        Effect.andThen(
          world.enqueue,
          Effect.sync(() => void told.push(notification))
        )
    })
  )
  return { ...started, world, told, loads: () => loads, since: () => written.splice(0) }
})

/** One point at which the memory and these volumes are used to so many percent. */
const point = (memory: number | undefined, volumes: Readonly<Record<string, number>> = {}) => ({
  ...(memory === undefined ? {} : { memory: { used: memory, total: 100 } }),
  volumes: Object.entries(volumes).map(([volume, used]) => ({ volume, used, total: 100 }))
})

const initially = DateTime.toEpochMillis(never)

const halfAnHour = 30 * 60_000

describe("ResourceMonitors", () => {
  it.effect("are read once, and known without a query [RM-01]", () =>
    Effect.gen(function* () {
      const monitors = { memory, volumes: [volume("/home")] }
      const { configuration, loads, push } = yield* start(monitors)

      for (let round = 0; round < 3; round++) assert.deepStrictEqual(yield* configuration, monitors)
      yield* push([point(10, { "/home": 10 })])

      assert.strictEqual(loads(), 1)
    })
  )

  it.effect("write nothing of memory that is not watched, and the rest all the same [RM-02]", () =>
    Effect.gen(function* () {
      const { push, since } = yield* start({ memory: null, volumes: [volume("/home")] })

      assert.deepStrictEqual(yield* push([point(100, { "/home": 10 })]), [])

      assert.deepStrictEqual(since(), [[agent(1), "/home", "ok", initially, 1_000]])
    })
  )

  it.effect("leave alone what is switched off [RM-03]", () =>
    Effect.gen(function* () {
      const off = { enabled: false }
      const { push, since, told } = yield* start({ memory: { ...memory, ...off }, volumes: [volume("/home", off)] })

      assert.deepStrictEqual(yield* push([point(100, { "/home": 100 })]), [])

      assert.deepStrictEqual([since(), told], [[], []])
    })
  )

  it.effect("write their state with every report, changed or not", () =>
    Effect.gen(function* () {
      const { push, since } = yield* start({ memory, volumes: [volume("/home"), volume("/data", { enabled: false })] })

      yield* push([point(10, { "/home": 10, "/data": 100 })])
      yield* TestClock.adjust("10 seconds")
      yield* push([])

      assert.deepStrictEqual(since(), [
        [agent(1), "memory", "ok", initially, 1_000],
        [agent(1), "/home", "ok", initially, 1_000],
        [agent(1), "memory", "ok", initially, 11_000],
        [agent(1), "/home", "ok", initially, 11_000]
      ])
    })
  )

  it.effect("notify the owner once that memory runs out, not again while it does [RM-12]", () =>
    Effect.gen(function* () {
      const { configuration, push, since, told } = yield* start({ memory, volumes: [] })

      yield* push([point(95)])
      yield* push([point(95)])
      yield* TestClock.adjust("2 hours")
      yield* push([point(95)])

      assert.deepStrictEqual(
        told.map(({ dedupeKey: _, ...message }) => message),
        [
          {
            userId: workspace.ownerId,
            template: "workspace_out_of_memory",
            labels: { workspace: "dev", threshold: "90%" },
            data: {},
            targets: [workspace.id, workspace.ownerId, workspace.organizationId],
            createdBy: "workspace-monitor-memory"
          }
        ]
      )
      assert.deepStrictEqual(since()[0], [agent(1), "memory", "nok", 1_000 + halfAnHour, 1_000])
      assert.strictEqual((yield* configuration).memory?.state, "nok")
    })
  )

  it.effect("notify nobody again within half an hour, and of the next change after that, on the same day [RM-13]", () =>
    Effect.gen(function* () {
      const { push, told } = yield* start({ memory, volumes: [] })
      const turn = Effect.andThen(push([point(10)]), push([point(95)]))

      yield* turn
      yield* TestClock.adjust(halfAnHour)
      yield* turn
      assert.lengthOf(told, 1)
      yield* TestClock.adjust(1)
      yield* turn

      assert.lengthOf(told, 2)
      assert.notStrictEqual(told[0]!.dedupeKey, told[1]!.dedupeKey)
    })
  )

  it.effect("tell of all volumes that a report finds full in one message [RM-14]", () =>
    Effect.gen(function* () {
      const volumes = [volume("/home"), volume("/data", { threshold: 95 }), volume("/tmp"), volume("/off")]
      const { push, since, told } = yield* start({ memory: null, volumes })

      yield* push([point(undefined, { "/home": 80, "/data": 99, "/tmp": 10 })])

      assert.deepStrictEqual(
        told.map(({ createdBy, data, labels, template }) => ({ createdBy, data, labels, template })),
        [
          {
            template: "workspace_out_of_disk",
            labels: { workspace: "dev" },
            data: {
              volumes: [
                { path: "/home", threshold: "80%" },
                { path: "/data", threshold: "95%" }
              ]
            },
            createdBy: "workspace-monitor-volumes"
          }
        ]
      )
      assert.deepStrictEqual(
        since().map(([, path, state]) => [path, state]),
        [
          ["/home", "nok"],
          ["/data", "nok"],
          ["/tmp", "ok"],
          // nothing was said of it
          ["/off", "ok"]
        ]
      )
      yield* push([point(undefined, { "/home": 80, "/data": 99, "/tmp": 90 })])
      assert.deepStrictEqual(told[1]?.data, { volumes: [{ path: "/tmp", threshold: "80%" }] })
    })
  )

  it.effect("fail apart: a successful write counts, and every failure is returned [RM-15]", () =>
    Effect.gen(function* () {
      const { configuration, push, since, world } = yield* start({ memory, volumes: [volume("/home")] })
      const report = push([point(95, { "/home": 95 })])

      world.putMemory = away("write the memory monitor")
      assert.deepStrictEqual(
        (yield* report).map(({ message }) => message),
        ["cannot write the memory monitor"]
      )
      assert.deepStrictEqual(
        since().map(([, what]) => what),
        ["/home"]
      )
      const { memory: before, volumes } = yield* configuration
      assert.deepStrictEqual([before?.state, volumes[0]?.state], ["ok", "nok"])

      world.putVolumes = away("write the volume monitors")
      assert.deepStrictEqual(
        (yield* report).map(({ message }) => message),
        ["cannot write the memory monitor", "cannot write the volume monitors"]
      )
    })
  )

  it.effect("stay as they were when they cannot be written, and try again without telling twice [RM-16]", () =>
    Effect.gen(function* () {
      const monitors = { memory, volumes: [volume("/home")] }
      const { configuration, push, since, told, world } = yield* start(monitors)
      const report = push([point(95, { "/home": 95 })])
      Object.assign(world, { putMemory: away("a"), putVolumes: away("b") })

      assert.lengthOf(yield* report, 2)
      assert.deepStrictEqual(yield* configuration, monitors)
      Object.assign(world, { putMemory: Effect.void, putVolumes: Effect.void })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* report, [])

      assert.deepStrictEqual(
        since().map(([, what, state]) => [what, state]),
        [
          ["memory", "nok"],
          ["/home", "nok"]
        ]
      )
      // the same key: whoever keeps the messages takes the second try for the first
      assert.deepStrictEqual(told[0], told[2])
      assert.deepStrictEqual(told[1], told[3])
    })
  )

  it.effect("stay as they were when the owner cannot be notified, and notify with the next report", () =>
    Effect.gen(function* () {
      const { configuration, push, since, told, world } = yield* start({ memory, volumes: [] })

      world.enqueue = away("enqueue a notification")
      assert.lengthOf(yield* push([point(95)]), 1)
      assert.deepStrictEqual([since(), (yield* configuration).memory], [[], memory])
      world.enqueue = Effect.void
      yield* push([point(95)])

      assert.lengthOf(told, 1)
    })
  )

  it.effect("take reports one after the other [RM-17]", () =>
    Effect.gen(function* () {
      const { configuration, push, since, told, world } = yield* start({ memory, volumes: [volume("/home")] })
      const gate = yield* Deferred.make<void>()
      world.putMemory = Deferred.await(gate)

      const reports = yield* Effect.forEach([95, 10, 95], (used) =>
        Effect.forkScoped(push([point(used, { "/home": used })]))
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(since(), [])
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.forEach(reports, Fiber.join)

      assert.deepStrictEqual(
        since().map(([, what, state]) => `${String(what)} ${String(state)}`),
        ["memory nok", "/home nok", "memory ok", "/home ok", "memory nok", "/home nok"]
      )
      assert.lengthOf(told, 2)
      assert.strictEqual((yield* configuration).memory?.state, "nok")
    })
  )
})
