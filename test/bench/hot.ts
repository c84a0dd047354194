/**
 * The hot path: what `add` costs when nothing behind it costs anything, and what becomes of updates when it is too much.
 *
 * Garbage is left alone while time is taken: to force its collection discards compiled code as well, and what runs next
 * is twice as slow for a while. For the same reason contestants live as long as a table, as they do in a service.
 */
import { Effect, Latch, Logger, Metric, type Scope } from "effect"
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

/** What every contestant has of its own: metrics, and no logs. */
const alone = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(Effect.provide(Logger.layer([])), Effect.provideService(Metric.MetricRegistry, new Map()))

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const { agents, reports: count } = scales[scale]
  const updates = count * Workload.keysPerReport
  const reports = yield* Workload.reports(Workload.agents(agents))

  /** Contestants that live from here on; a round is a reading of feeding them. */
  const fed = <C extends Intake.Contestant, Column extends string>(
    contestants: ReadonlyArray<C>,
    start: (contestant: C, sink: BatchSink.BatchSink) => Effect.Effect<Intake.Feed, never, Scope.Scope>,
    figures: (reading: Meter.Reading<number> & { readonly batches: number }) => Table.Figures<Column>
  ) =>
    Effect.forEach(contestants, (contestant) => {
      const sink = BatchSink.make()
      return Effect.map(alone(start(contestant, sink)), (feed) => ({
        ...contestant,
        round: Effect.suspend(() => {
          const { batches } = sink.written()
          return Effect.map(alone(Meter.read(feed(reports, count))), (reading) =>
            figures({ ...reading, batches: sink.written().batches - batches })
          )
        })
      }))
    })

  const throughput = Table.make({
    name: "throughput",
    title: `${updates} updates of ${agents} agents`,
    notes: [
      "Reports of 10 keys. Where there is a queue its producer looks at it after every 20th report, and while it is more",
      "than half full it yields: nobody drops. All end in the same sink, which walks the rows and packs the agents.",
      "CPU is that of all threads, GC the time for which the collection of garbage stopped them."
    ],
    columns: { "ns/update": 0, "CPU ns/update": 0, dropped: 0, "heap B/update": 0, "GC %": 1, batches: 0 },
    reference: Contestants.metadataBatcher.name,
    contestants: yield* fed(
      Contestants.all,
      Intake.patiently,
      ({ allocatedBytes, answer, batches, cpuMillis, gcMillis, millis }) => ({
        "ns/update": (millis * 1e6) / updates,
        "CPU ns/update": (cpuMillis * 1e6) / updates,
        dropped: answer,
        "heap B/update": allocatedBytes / updates,
        "GC %": (gcMillis / millis) * 100,
        batches
      })
    )
  })

  const reportsPerTurn = 200
  const flood = Table.make({
    name: "flood",
    title: `${reportsPerTurn * Workload.keysPerReport} updates in every turn of the event loop, ${updates} in all`,
    notes: ["Nobody looks at what is waiting, and the store is always idle."],
    columns: { "dropped %": 1, batches: 0 },
    contestants: yield* fed(
      Contestants.bounded,
      (contestant, sink) => Intake.inTurns(contestant, sink, reportsPerTurn),
      ({ answer, batches }) => ({ "dropped %": (answer / updates) * 100, batches })
    )
  })

  const hotReports = Workload.roll(Workload.agents(45))
  const merging = Table.make({
    name: "merging",
    title: `${updates} updates of 450 keys`,
    notes: ["Fewer keys than a batch has room for: what merges them all has one batch, at the end."],
    columns: { batches: 0, "rows written": 0, dropped: 0 },
    contestants: Contestants.all.map((contestant) => ({
      ...contestant,
      round: Effect.gen(function* () {
        const sink = BatchSink.make()
        const dropped = yield* Effect.scoped(
          Effect.flatMap(Intake.patiently(contestant, sink), (feed) => feed(hotReports, count))
        )
        const { batches, rows } = sink.written()
        return { batches, "rows written": rows, dropped }
      }).pipe(alone)
    }))
  })

  const { heapInUse } = Meter
  const perStall = Math.min(count, 10_000)
  const stall = Table.make({
    name: "stall",
    title: `${perStall * Workload.keysPerReport} updates while the store does not answer`,
    notes: ["heap: what is in use then, above what was before."],
    columns: { "heap KB": 0, "dropped %": 1 },
    contestants: Contestants.bounded.map((contestant) => ({
      ...contestant,
      ...(heapInUse === undefined
        ? { skipped: "this takes node --expose-gc" }
        : {
            round: Effect.gen(function* () {
              const before = yield* heapInUse
              const answers = yield* Latch.make()
              const feed = yield* Intake.inTurns(contestant, BatchSink.make(answers.await), reportsPerTurn)
              yield* Effect.addFinalizer(() => answers.open)
              const dropped = yield* feed(reports, perStall)
              return {
                "heap KB": ((yield* heapInUse) - before) / 1_000,
                "dropped %": (dropped / (perStall * Workload.keysPerReport)) * 100
              }
            }).pipe(Effect.scoped, alone)
          })
    }))
  })

  return [throughput, flood, merging, stall]
})

export const hot: Table.Part = {
  name: "hot",
  description: "MetadataBatcher.add with a store and a pubsub that do nothing",
  tables
}
