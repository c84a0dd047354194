/** The cost of a piece of work for this process. */
import { Duration, Effect } from "effect"
import { GCProfiler, getHeapStatistics } from "node:v8"

export interface Reading<A> {
  readonly answer: A
  readonly millis: number
  /** Of all threads, collection of garbage and compilation included. */
  readonly cpuMillis: number
  /** For how long the collection of garbage stopped everything. */
  readonly gcMillis: number
  readonly allocatedBytes: number
}

export const read = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<Reading<A>, E, R> =>
  Effect.suspend(() => {
    const profiler = new GCProfiler()
    const heapBefore = heapUsed()
    const cpuBefore = process.cpuUsage()
    profiler.start()
    return Effect.map(Effect.timed(work), ([elapsed, answer]) => {
      const { system, user } = process.cpuUsage(cpuBefore)
      const heapAfter = heapUsed()
      const { statistics } = profiler.stop()
      const collected = statistics.map(
        ({ afterGC, beforeGC }) => beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize
      )
      return {
        answer,
        millis: Duration.toMillis(elapsed),
        cpuMillis: (system + user) / 1_000,
        gcMillis: sum(statistics.map(({ cost }) => cost)) / 1_000,
        allocatedBytes: heapAfter - heapBefore + sum(collected)
      }
    })
  })

/** The bytes in use once all garbage is gone, for a process that may collect it. */
export const heapInUse: Effect.Effect<number> | undefined =
  globalThis.gc &&
  Effect.sync(() => {
    globalThis.gc?.()
    return heapUsed()
  })

const heapUsed = () => getHeapStatistics().used_heap_size

const sum = (values: ReadonlyArray<number>) => values.reduce((total, value) => total + value, 0)
