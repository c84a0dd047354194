/**
 * Watches the memory and the volumes of an agent: an actor of its session.
 *
 * - The monitors are read once, when the session opens.
 * - A report gives every monitor that is on its next state: what is used of the last 20 points, each taken every 10
 *   seconds, against the threshold of the monitor.
 * - When a monitor stops being well, the owner of the workspace is told: once, and not again within 30 minutes. All
 *   volumes that a report finds full are one message.
 * - A state is written with each report, and known as the present one only when it was. A write or a message that failed
 *   is tried again with the next report; the owner is notified once all the same.
 * - Memory and volumes fail apart. Reports of one connection are taken one after the other.
 */
import { DateTime, type Duration, Effect, SynchronizedRef } from "effect"
import type { AgentId } from "../../domain/Ids.ts"
import type { Workspace } from "../../domain/Workspace.ts"
import { type Notification, Notifications } from "../ports/Notifications.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import {
  type MonitorState,
  type Monitor,
  type VolumeMonitor,
  type Monitors,
  ResourceMonitorStore
} from "../ports/ResourceMonitorStore.ts"

/** How much of something is used, both in one unit. */
export interface Usage {
  readonly used: number
  readonly total: number
}

/** The usage that an agent measured at one time. */
export interface Datapoint {
  readonly memory?: Usage | undefined
  readonly volumes: ReadonlyArray<Usage & { readonly volume: string }>
}

export interface ResourceMonitors {
  /** The monitors, without a query. */
  readonly configuration: Effect.Effect<Monitors>
  /** Takes a report, the oldest point first, and answers what of it could not be written or told. */
  readonly push: (points: ReadonlyArray<Datapoint>) => Effect.Effect<ReadonlyArray<StoreError>>
}

/** The points of a report. */
export const datapoints = 20

/** The time between two points. */
export const collectionInterval: Duration.Input = "10 seconds"

/** The share of points in a row that makes a monitor not well, in percent. */
export const consecutiveNok = 50

/** The share of points, wherever they are, that makes a monitor not well, in percent. */
export const minimumNok = 20

/** For how long nobody is told again. */
export const debounce: Duration.Input = "30 minutes"

/** The state of one point: a share equal to the threshold is not ok, and a total of zero is unknown. */
export const pointOf = (usage: Usage | undefined, threshold: number): MonitorState | "unknown" => {
  if (usage === undefined || usage.total <= 0) return "unknown"
  return Math.trunc((usage.used / usage.total) * 100) < threshold ? "ok" : "nok"
}

/** The state after the points of a report. Without a point it is ok. */
export const stateAfter = (state: MonitorState, points: ReadonlyArray<MonitorState | "unknown">): MonitorState => {
  const share = (count: number) => (points.length === 0 ? 0 : Math.round((count / points.length) * 100))
  let [longest, run, total] = [0, 0, 0]
  for (const point of points) {
    run = point === "nok" ? run + 1 : 0
    longest = Math.max(longest, run)
    if (point === "nok") total++
  }
  if (share(longest) >= consecutiveNok || share(total) >= minimumNok) return "nok"
  return points.every((point) => point === "ok") ? "ok" : state
}

/** A monitor after a report, and whether that is news for the owner. */
export const advance = <M extends Monitor>(
  monitor: M,
  points: ReadonlyArray<MonitorState | "unknown">,
  now: DateTime.Utc
): { readonly monitor: M; readonly alarming: boolean } => {
  const state = stateAfter(monitor.state, points)
  const alarming = monitor.state === "ok" && state === "nok" && DateTime.isGreaterThan(now, monitor.debouncedUntil)
  const debouncedUntil = alarming ? DateTime.addDuration(now, debounce) : monitor.debouncedUntil
  return { monitor: { ...monitor, state, debouncedUntil }, alarming }
}

/** Loads what watches an agent of `workspace`. */
export const load = Effect.fnUntraced(function* (
  agentId: AgentId,
  workspace: Effect.Effect<Workspace, StoreError>
): Effect.fn.Return<ResourceMonitors, StoreError, ResourceMonitorStore | Notifications> {
  const store = yield* ResourceMonitorStore
  const notifications = yield* Notifications
  const known = yield* SynchronizedRef.make(yield* store.load(agentId))

  const tell = Effect.fnUntraced(function* (
    causes: ReadonlyArray<Monitor>,
    { labels, ...message }: Pick<Notification, "template" | "labels" | "data" | "createdBy">
  ) {
    const { id, name, organizationId, ownerId } = yield* workspace
    yield* notifications.enqueue({
      ...message,
      userId: ownerId,
      labels: { workspace: name, ...labels },
      targets: [id, ownerId, organizationId],
      // the same for another try at the same turn, another for the next turn of the same day
      dedupeKey: causes.map(({ debouncedUntil }) => DateTime.formatIso(debouncedUntil)).join()
    })
  })

  const memory = Effect.fnUntraced(function* (
    monitor: Monitor | null,
    points: ReadonlyArray<Datapoint>,
    now: DateTime.Utc
  ) {
    if (monitor === null || !monitor.enabled) return monitor
    const next = advance(
      monitor,
      points.map(({ memory }) => pointOf(memory, monitor.threshold)),
      now
    )
    if (next.alarming) {
      yield* tell([monitor], {
        template: "workspace_out_of_memory",
        labels: { threshold: `${monitor.threshold}%` },
        data: {},
        createdBy: "workspace-monitor-memory"
      })
    }
    yield* store.putMemory(agentId, next.monitor, now)
    return next.monitor
  })

  const volumes = Effect.fnUntraced(function* (
    monitors: ReadonlyArray<VolumeMonitor>,
    points: ReadonlyArray<Datapoint>,
    now: DateTime.Utc
  ) {
    const next = monitors.map((monitor) =>
      monitor.enabled ? advance(monitor, points.map(pointOfVolume(monitor)), now) : { monitor, alarming: false }
    )
    const full = monitors.filter((_, index) => next[index]?.alarming)
    if (full.length > 0) {
      yield* tell(full, {
        template: "workspace_out_of_disk",
        labels: {},
        data: { volumes: full.map(({ path, threshold }) => ({ path, threshold: `${threshold}%` })) },
        createdBy: "workspace-monitor-volumes"
      })
    }
    const changed = next.map(({ monitor }) => monitor)
    const enabled = changed.filter(({ enabled }) => enabled)
    if (enabled.length > 0) yield* store.putVolumes(agentId, enabled, now)
    return changed
  })

  return {
    configuration: SynchronizedRef.get(known),
    push: (points) =>
      SynchronizedRef.modifyEffect(
        known,
        Effect.fnUntraced(function* (before) {
          const now = yield* DateTime.now
          const failures: Array<StoreError> = []
          const orElse = <A>(part: Effect.Effect<A, StoreError>, before: A) =>
            Effect.catch(part, (failure) =>
              Effect.sync(() => {
                failures.push(failure)
                return before
              })
            )
          const after: Monitors = {
            memory: yield* orElse(memory(before.memory, points, now), before.memory),
            volumes: yield* orElse(volumes(before.volumes, points, now), before.volumes)
          }
          return [failures, after] as const
        })
      )
  }
})

const pointOfVolume =
  ({ path, threshold }: VolumeMonitor) =>
  ({ volumes }: Datapoint) =>
    pointOf(
      volumes.find(({ volume }) => volume === path),
      threshold
    )
