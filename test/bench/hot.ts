/**
 * The hot path: what `add` costs when nothing behind it costs anything.
 */
import { Effect, Logger, Metric } from "effect"
import * as BatchSink from "./BatchSink.ts"
import * as Contestants from "./hot/contestants.ts"
import * as Intake from "./hot/Intake.ts"
import * as Meter from "./Meter.ts"
import * as Table from "./Table.ts"
import * as Workload from "./Workload.ts"

const scales = {
  full: { agents: 10_000, reports: 100_000 },
  smoke: { agents: 100, reports: 500 }
}

/** What every round has of its own: a sink, metrics, and no logs. */
const round = <A>(work: (sink: BatchSink.BatchSink) => Effect.Effect<A>) =>
  Effect.suspend(() => {
    const sink = BatchSink.make()
    const heapBefore = process.memoryUsage().heapUsed
    return Effect.map(Meter.read(work(sink)), (reading) => ({
      ...reading,
      ...sink.written(),
      heap: Math.max(0, sink.written().peakHeap - heapBefore)
    }))
  }).pipe(Effect.provide(Logger.layer([])), Effect.provideService(Metric.MetricRegistry, new Map()))

export const hot: Table.Part = {
  name: "hot",
  description: "MetadataBatcher.add with a store and a pubsub that do nothing",
  tables: Effect.fnUntraced(function* (scale) {
    const { agents, reports: count } = scales[scale]
    const updates = count * Workload.keysPerReport
    const reports = yield* Workload.reports(Workload.agents(agents))
    const hotReports = Workload.roll(Workload.agents(45))

    const throughput = Table.make({
      name: "throughput",
      title: `${updates} updates of ${agents} agents`,
      notes: [
        "Reports of 10 keys. Where there is a queue its producer looks at it after every 20th report, and while it is more",
        "than half full it yields: nobody drops. All end in the same sink, which walks the rows and packs the agents.",
        "CPU: of all threads, collection of garbage included. heap: the most that was in use above what was before."
      ],
      columns: { "ns/update": 0, "CPU ns/update": 0, dropped: 0, "heap MB": 1, batches: 0 },
      reference: Contestants.metadataBatcher.name,
      contestants: Contestants.all.map((contestant) => ({
        ...contestant,
        round: Effect.map(
          round((sink) => Intake.feed(contestant, { sink, reports, count })),
          ({ answer, batches, cpuMillis, heap, millis }) => ({
            "ns/update": (millis * 1e6) / updates,
            "CPU ns/update": (cpuMillis * 1e6) / updates,
            dropped: answer,
            "heap MB": heap / 1e6,
            batches
          })
        )
      }))
    })

    const merging = Table.make({
      name: "merging",
      title: `${updates} updates of 450 keys`,
      notes: ["Fewer keys than a batch has room for: what merges them all has one batch, at the end."],
      columns: { batches: 0, "rows written": 0, dropped: 0 },
      contestants: Contestants.all.map((contestant) => ({
        ...contestant,
        round: Effect.map(
          round((sink) => Intake.feed(contestant, { sink, reports: hotReports, count })),
          ({ answer, batches, rows }) => ({ batches, "rows written": rows, dropped: answer })
        )
      }))
    })

    const burst = 200
    const flood = Table.make({
      name: "flood",
      title: `${burst * Workload.keysPerReport} updates in every turn of the event loop, ${updates} in all`,
      notes: ["Nobody looks at what is waiting, and the store is always idle."],
      columns: { "dropped %": 1, batches: 0 },
      contestants: Contestants.bounded.map((contestant) => ({
        ...contestant,
        round: Effect.map(
          round((sink) => Intake.flood(contestant, { sink, reports, count, perTurn: burst })),
          ({ answer, batches }) => ({ "dropped %": (answer / updates) * 100, batches })
        )
      }))
    })

    return [throughput, flood, merging]
  })
}
