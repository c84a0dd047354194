/**
 * Writes the heartbeats of all connections of the process, in order, those of one window together.
 *
 * - A window is a fifteenth of the interval, at most a second. A write starts at most once per window, unless a heartbeat
 *   does not wait for it.
 * - A periodic heartbeat costs neither a fiber nor a request: it is an entry of a list until its write ends.
 * - Heartbeats of one agent in one write are one record, the last of them. Each gets the result.
 * - A write skips locked rows. A skipped agent gets a write of its own, at most two of which run at a time.
 */
import { Array as Arr, Clock, Duration, Effect, Exit, Latch, type Option, Semaphore } from "effect"
import * as Collector from "../../platform/Collector.ts"
import type { StoreError } from "../../domain/StoreError.ts"
import { type AgentSocketRecord, AgentSocketStore, type Recorded } from "../ports/AgentSocketStore.ts"

/** The most agents in one write. */
const maxRecords = 1_000

/** The most writes that wait for a locked row at the same time: each may hold a connection of the store. */
const maxLockedWrites = 2

/** The result of a heartbeat. It is undefined if the row of the agent is locked. */
export type Result = Exit.Exit<Recorded | undefined, StoreError>

/** A heartbeat that waits to be written. */
export interface Heartbeat {
  readonly record: AgentSocketRecord
  /** Called with the result of the write. */
  readonly written: (result: Result) => void
}

export interface Heartbeats {
  /** Adds a periodic heartbeat. */
  readonly addUnsafe: (heartbeat: Heartbeat) => void
  /** Forgets a heartbeat that is not being written yet. */
  readonly removeUnsafe: (heartbeat: Heartbeat) => void
  /** Writes the heartbeats that wait and this one without waiting for the window, and waits for a locked row. */
  readonly recordNow: (record: AgentSocketRecord) => Effect.Effect<Recorded, StoreError>
  /** Records a heartbeat whose row was locked. Returns nothing if too many such writes run already. */
  readonly recordLocked: (record: AgentSocketRecord) => Effect.Effect<Option.Option<Recorded>, StoreError>
}

/** Makes the heartbeats of connections whose interval is this. */
export const make = Effect.fnUntraced(function* (
  interval: Duration.Duration
): Effect.fn.Return<Heartbeats, never, AgentSocketStore> {
  const store = yield* AgentSocketStore
  const clock = yield* Clock.Clock
  const window = Duration.toNanosUnsafe(Duration.min(Duration.divideUnsafe(interval, 15), Duration.seconds(1)))
  const lockedWrites = yield* Semaphore.make(maxLockedWrites)
  const isUrgent = Latch.makeUnsafe(false)
  let nextWriteAt = 0n

  const write = Effect.fnUntraced(
    function* (groups: ReadonlyArray<ReadonlyArray<Heartbeat>>) {
      const recorded = yield* Effect.exit(store.recordHeartbeats(groups.map((group) => group.at(-1)!.record)))
      for (const group of groups) {
        const { agentId } = group[0]!.record
        const result = Exit.map(recorded, (results) => results.get(agentId))
        for (const { written } of group) written(result)
      }
    },
    Effect.withSpan("AgentSocketMonitor.heartbeats", { root: true })
  )

  const awaitWindow = Effect.flatMap(Clock.monotonicTimeNanos, (now) =>
    now < nextWriteAt ? Effect.raceFirst(Effect.sleep(Duration.nanos(nextWriteAt - now)), isUrgent.await) : Effect.void
  )
  const { addUnsafe, removeUnsafe } = yield* Collector.make<Heartbeat>((heartbeats) => {
    isUrgent.closeUnsafe()
    nextWriteAt = clock.monotonicTimeNanosUnsafe() + window
    const groups = [...Map.groupBy(heartbeats, ({ record }) => record.agentId).values()]
    // one after the other, so that an older heartbeat of an agent cannot overtake a newer one
    return Effect.forEach(Arr.chunksOf(groups, maxRecords), write, { discard: true })
  }, awaitWindow)

  const writtenNow = (record: AgentSocketRecord) =>
    Effect.callback<Recorded | undefined, StoreError>((resume) => {
      const heartbeat = { record, written: resume }
      addUnsafe(heartbeat)
      isUrgent.openUnsafe()
      return Effect.sync(() => removeUnsafe(heartbeat))
    })

  return {
    addUnsafe,
    removeUnsafe,
    recordNow: (record) =>
      Effect.flatMap(writtenNow(record), (recorded) =>
        recorded === undefined ? lockedWrites.withPermit(store.recordHeartbeat(record)) : Effect.succeed(recorded)
      ),
    recordLocked: (record) => lockedWrites.withPermitsIfAvailable(1)(store.recordHeartbeat(record))
  }
})
