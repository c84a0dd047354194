/**
 * The hot path: the cost of `add` when its store does nothing, and the drops when more is added than it takes.
 *
 * No collection of garbage is forced while time is measured: it would discard compiled code as well, and the next work
 * would be twice as slow for a while. For the same reason contestants live as long as a table, as they do in a service.
 */
import { Effect, Latch, Logger, Metric, Record, Result, type Scope } from "effect"
import * as BatchSink from "./BatchSink.ts"
import * as Contestants from "./hot/contestants.ts"
import * as GoBatcher from "./hot/goBatcher.ts"
import * as Intake from "./hot/Intake.ts"
import * as Meter from "./Meter.ts"
import * as Table from "./Table.ts"
import * as Workload from "./Workload.ts"

const scales = {
  full: { agents: 10_000, reports: 100_000, growth: [1_000, 10_000, 100_000] },
  smoke: { agents: 100, reports: 200, growth: [10, 100, 1_000] }
} as const

/** The outcome of some reports. */
interface Fed extends Omit<Meter.Reading<number>, "answer"> {
  readonly updates: number
  readonly dropped: number
  readonly batches: number
}

/** Gives a contestant metrics of its own, and no logs. */
const alone = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(Effect.provide(Logger.layer([])), Effect.provideService(Metric.MetricRegistry, new Map()))

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const { agents, growth, reports: count } = scales[scale]
  const updates = count * Workload.keysPerReport
  const go = yield* Effect.result(GoBatcher.build)
  const reports = yield* Workload.reports(Workload.agents(agents))

  /**
   * Contestants that live from here on; a round is a reading of feeding them so many reports, after as many that are not
   * read, because code and caches are still those of the contestant before.
   */
  const fed = <C extends Intake.Contestant, Column extends string>(
    contestants: ReadonlyArray<C>,
    start: (contestant: C, sink: BatchSink.BatchSink) => Effect.Effect<Intake.Feed, never, Scope.Scope>,
    figures: (
      read: (reports: ReadonlyArray<Workload.Report>) => Effect.Effect<Fed>
    ) => Effect.Effect<Table.Figures<Column>>
  ) =>
    Effect.forEach(contestants, (contestant) => {
      const sink = BatchSink.make()
      const portion = Math.round(count * (contestant.share ?? 1))
      return Effect.map(alone(start(contestant, sink)), (feed) => ({
        ...contestant,
        round: figures((reports) =>
          Effect.gen(function* () {
            const feeding = feed(reports, portion)
            yield* alone(feeding)
            const { batches } = sink.written()
            const { answer, ...reading } = yield* alone(Meter.read(feeding))
            return {
              ...reading,
              dropped: answer,
              batches: sink.written().batches - batches,
              updates: portion * Workload.keysPerReport
            }
          })
        )
      }))
    })

  /** The same for the program in Go, which makes the reports of an order and of so many agents itself. */
  const fedGo = <Column extends string>(
    figures: (
      read: (order: GoBatcher.Order, agents: number) => Effect.Effect<Fed & GoBatcher.Outcome, unknown>
    ) => Effect.Effect<Table.Figures<Column>, unknown>
  ): Table.Contestant<Column> =>
    Result.match(go, {
      onFailure: ({ message }) => ({ name: GoBatcher.name, skipped: message }),
      onSuccess: ({ feed, remark }) => ({
        name: GoBatcher.name,
        remark,
        round: figures((order, agents) =>
          Effect.map(feed(order, agents, count), (outcome) => ({ ...outcome, updates }))
        )
      })
    })

  const perUpdate = ({ allocatedBytes, batches, cpuMillis, dropped, gcMillis, millis, updates }: Fed) => ({
    "ns/update": (millis * 1e6) / updates,
    "CPU ns/update": (cpuMillis * 1e6) / updates,
    dropped,
    "heap B/update": allocatedBytes / updates,
    "GC %": (gcMillis / millis) * 100,
    batches
  })

  const throughput = Table.make({
    name: "throughput",
    title: `${updates} updates of ${agents} agents`,
    notes: [
      "Reports of 10 keys. Where there is a queue its producer looks at it after every 20th report, and while it is more",
      "than half full it yields: nobody drops. Each is fed as much again before, which is not read. All make their rows in",
      "the same way and end in the same sink, which walks them and packs the agents. It has no generators; the store in",
      "Postgres has some, and without the flag of V8 that the service sets it keeps batches longer.",
      "CPU is that of all threads, GC the time for which the collection of garbage stopped them."
    ],
    columns: { "ns/update": 0, "CPU ns/update": 0, dropped: 0, "heap B/update": 0, "GC %": 1, batches: 0 },
    reference: Contestants.metadataBatcher.name,
    contestants: [
      ...(yield* fed(Contestants.all, Intake.patiently, (read) => Effect.map(read(reports), perUpdate))),
      fedGo((read) => Effect.map(read("reports", agents), perUpdate))
    ]
  })

  const reportsPerTurn = 200
  const flood = Table.make({
    name: "flood",
    title: `${reportsPerTurn * Workload.keysPerReport} updates in every turn of the event loop, ${updates} of them read`,
    notes: ["Nobody looks at what is waiting, and the store is always idle."],
    columns: { "dropped %": 1, batches: 0 },
    contestants: yield* fed(
      Contestants.bounded,
      (contestant, sink) => Intake.inTurns(contestant, sink, reportsPerTurn),
      (read) =>
        Effect.map(read(reports), ({ batches, dropped }) => ({ "dropped %": (dropped / updates) * 100, batches }))
    )
  })

  const hotReports = Workload.roll(Workload.agents(45))
  const merging = Table.make({
    name: "merging",
    title: `${updates} updates of 450 keys`,
    notes: ["Fewer keys than a batch has room for: what merges them all has one batch, at the end."],
    columns: { batches: 0, "rows written": 0, dropped: 0 },
    rounds: 1,
    warmsUp: false,
    contestants: [
      ...Contestants.all
        .filter(({ share }) => share === undefined)
        .map((contestant) => ({
          ...contestant,
          round: Effect.gen(function* () {
            const sink = BatchSink.make()
            const dropped = yield* Effect.scoped(
              Effect.flatMap(Intake.patiently(contestant, sink), (feed) => feed(hotReports, count))
            )
            const { batches, rows } = sink.written()
            return { batches, "rows written": rows, dropped }
          }).pipe(alone)
        })),
      fedGo((read) =>
        Effect.map(read("roll", hotReports.length), ({ batches, dropped, rows }) => ({
          batches,
          "rows written": rows,
          dropped
        }))
      )
    ]
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

  // made when it is needed, which is at the end: a heap full of it would slow everyone down
  const orders = yield* Effect.cached(
    Effect.sync(() => {
      const [few, some, many] = growth.map((agents) => Workload.roll(Workload.agents(agents)))
      return { "10 000": some!, "1 000": few!, "100 000": many!, repeats: Workload.repeats(Workload.agents(agents)) }
    })
  )
  const nanos = ({ millis, updates }: Fed) => (millis * 1e6) / updates
  const growing = Table.make({
    name: "growth",
    title: `ns per update of ${updates}, by the number of agents`,
    notes: ["One report of each agent, in a circle. In the last column 9 of 10 updates repeat a key of the batch."],
    columns: { "10 000": 0, "1 000": 0, "100 000": 0, repeats: 0 },
    reference: Contestants.metadataBatcher.name,
    contestants: [
      ...(yield* fed(
        [Contestants.metadataBatcher, Contestants.aggregateWithin, Contestants.plainMap],
        Intake.patiently,
        (read) =>
          Effect.flatMap(orders, (orders) => Effect.all(Record.map(orders, (order) => Effect.map(read(order), nanos))))
      )),
      fedGo((read) =>
        Effect.all({
          "10 000": Effect.map(read("roll", growth[1]), nanos),
          "1 000": Effect.map(read("roll", growth[0]), nanos),
          "100 000": Effect.map(read("roll", growth[2]), nanos),
          repeats: Effect.map(read("repeats", agents), nanos)
        })
      )
    ]
  })

  return [throughput, flood, merging, stall, growing]
})

export const hot: Table.Part = {
  name: "hot",
  description: "MetadataBatcher.add with a store and a pubsub that do nothing",
  tables
}
