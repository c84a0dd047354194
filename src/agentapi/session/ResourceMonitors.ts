/**
 * Monitors the memory and the volumes of an agent: an actor of its session.
 *
 * - The monitors are loaded once, when the session opens.
 * - Each report computes the next state of every enabled monitor: it compares the usage of the last 20 points, taken 10
 *   seconds apart, with the threshold of the monitor.
 * - When a monitor changes from `ok` to `nok`, the owner of the workspace is notified, and not again within 30 minutes.
 *   One message names all volumes that a report finds full.
 * - Each report writes the new states. A state becomes the current one only if its write succeeded.
 * - The next report retries a write or a notification that failed. The owner is still notified only once.
 * - Memory and volumes fail independently of each other.
 * - The reports of a connection are processed one after the other.
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

/** The used and the total amount of a resource, in the same unit. */
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
  /** Processes a report, the oldest point first, and returns the failures of its writes and notifications. */
  readonly push: (points: ReadonlyArray<Datapoint>) => Effect.Effect<ReadonlyArray<StoreError>>
}

/** The number of points in a report. */
export const datapoints = 20

/** The time between two points. */
export const collectionInterval: Duration.Input = "10 seconds"

/** The share of consecutive `nok` points at which a monitor becomes `nok`, in percent. */
export const consecutiveNok = 50

/** The share of `nok` points, consecutive or not, at which a monitor becomes `nok`, in percent. */
export const minimumNok = 20

/** The time after a notification in which no other is sent. */
export const debounce: Duration.Input = "30 minutes"

/** Returns the state of one point: a share equal to the threshold is `nok`, and a total of zero is `unknown`. */
export const pointOf = (usage: Usage | undefined, threshold: number): MonitorState | "unknown" => {
  if (usage === undefined || usage.total <= 0) return "unknown"
  return Math.trunc((usage.used / usage.total) * 100) < threshold ? "ok" : "nok"
}

/** Returns the state after the points of a report. Without points it is `ok`. `limits` are shares in percent. */
export const stateAfter = (
  state: MonitorState,
  points: ReadonlyArray<MonitorState | "unknown">,
  limits = { consecutiveNok, minimumNok }
): MonitorState => {
  const share = (count: number) => (points.length === 0 ? 0 : Math.round((count / points.length) * 100))
  let [longest, run, total] = [0, 0, 0]
  for (const point of points) {
    run = point === "nok" ? run + 1 : 0
    longest = Math.max(longest, run)
    if (point === "nok") total++
  }
  if (share(longest) >= limits.consecutiveNok || share(total) >= limits.minimumNok) return "nok"
  return points.every((point) => point === "ok") ? "ok" : state
}

/** Returns a monitor after a report, and whether the owner has to be notified. */
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

/** Loads the monitors of an agent of `workspace`. */
export const load = Effect.fnUntraced(function* (
  agentId: AgentId,
  workspace: Effect.Effect<Workspace, StoreError>
): Effect.fn.Return<ResourceMonitors, StoreError, ResourceMonitorStore | Notifications> {
  const store = yield* ResourceMonitorStore
  const monitored: Monitored = { agentId, workspace, store, notifications: yield* Notifications }
  const known = yield* SynchronizedRef.make(yield* store.load(agentId))
  return {
    configuration: SynchronizedRef.get(known),
    push: (points) => SynchronizedRef.modifyEffect(known, (before) => advanceAll(monitored, before, points))
  }
})

// ----- internals -----

/** An agent that has monitors. Few connections use theirs, so that none has functions of its own. */
interface Monitored {
  readonly agentId: AgentId
  readonly workspace: Effect.Effect<Workspace, StoreError>
  readonly store: ResourceMonitorStore["Service"]
  readonly notifications: Notifications["Service"]
}

const advanceAll = Effect.fnUntraced(function* (
  monitored: Monitored,
  before: Monitors,
  points: ReadonlyArray<Datapoint>
) {
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
    memory: yield* orElse(advanceMemory(monitored, before.memory, points, now), before.memory),
    volumes: yield* orElse(advanceVolumes(monitored, before.volumes, points, now), before.volumes)
  }
  return [failures, after] as const
})

const tell = Effect.fnUntraced(function* (
  { notifications, workspace }: Monitored,
  causes: ReadonlyArray<Monitor>,
  { labels, ...message }: Pick<Notification, "template" | "labels" | "data" | "createdBy">
) {
  const { id, name, organizationId, ownerId } = yield* workspace
  yield* notifications.enqueue({
    ...message,
    userId: ownerId,
    labels: { workspace: name, ...labels },
    targets: [id, ownerId, organizationId],
    // a retry of this alarm has the same key; the next alarm of the same day has another one
    dedupeKey: causes.map(({ debouncedUntil }) => DateTime.formatIso(debouncedUntil)).join()
  })
})

const advanceMemory = Effect.fnUntraced(function* (
  monitored: Monitored,
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
    yield* tell(monitored, [monitor], {
      template: "workspace_out_of_memory",
      labels: { threshold: `${monitor.threshold}%` },
      data: {},
      createdBy: "workspace-monitor-memory"
    })
  }
  yield* monitored.store.putMemory(monitored.agentId, next.monitor, now)
  return next.monitor
})

const advanceVolumes = Effect.fnUntraced(function* (
  monitored: Monitored,
  monitors: ReadonlyArray<VolumeMonitor>,
  points: ReadonlyArray<Datapoint>,
  now: DateTime.Utc
) {
  const next = monitors.map((monitor) =>
    monitor.enabled ? advance(monitor, points.map(pointOfVolume(monitor)), now) : { monitor, alarming: false }
  )
  const full = monitors.filter((_, index) => next[index]?.alarming)
  if (full.length > 0) {
    yield* tell(monitored, full, {
      template: "workspace_out_of_disk",
      labels: {},
      data: { volumes: full.map(({ path, threshold }) => ({ path, threshold: `${threshold}%` })) },
      createdBy: "workspace-monitor-volumes"
    })
  }
  const changed = next.map(({ monitor }) => monitor)
  const enabled = changed.filter(({ enabled }) => enabled)
  if (enabled.length > 0) yield* monitored.store.putVolumes(monitored.agentId, enabled, now)
  return changed
})

const pointOfVolume =
  ({ path, threshold }: VolumeMonitor) =>
  ({ volumes }: Datapoint) =>
    pointOf(
      volumes.find(({ volume }) => volume === path),
      threshold
    )
