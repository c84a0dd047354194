/**
 * Measures the CPU time and the memory of the process, under the names that every Prometheus client uses. The values
 * are read on demand.
 */
import { Clock, Effect, Layer, Metric } from "effect"
import { counter, onDemand } from "../domain/Counters.ts"

const cpuSeconds = counter(
  "process_cpu_seconds_total",
  "Seconds of processor time, of the system for the process included."
)

const residentMemory = Metric.gauge("process_resident_memory_bytes", { description: "Bytes in memory." })

const startTime = Metric.gauge("process_start_time_seconds", {
  description: "Seconds from the epoch to the start of the process."
})

export const layer: Layer.Layer<never> = Layer.effectDiscard(
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const startedAt = (yield* Clock.currentTimeMillis) / 1_000 - process.uptime()
    onDemand(cpuSeconds, context, () => {
      const { system, user } = process.cpuUsage()
      return { count: (system + user) / 1e6, incremental: true }
    })
    onDemand(residentMemory, context, () => ({ value: process.memoryUsage.rss() }))
    onDemand(startTime, context, () => ({ value: startedAt }))
  })
)
