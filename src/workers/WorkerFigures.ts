/**
 * The figures of all workers of a service, which the primary adds up.
 *
 * - Reads that are made at about the same time share one question to each worker.
 * - A worker that does not reply within {@link readTimeout} counts as it last did.
 * - The counts of ended workers stay in the sums, so that no counter ever falls. Entries that a killed worker had
 *   pending when it was last read count as lost.
 */
import { type Context, Duration, Effect, Number, Option } from "effect"
import * as RequestCoalescer from "../batcher/RequestCoalescer.ts"
import * as Batching from "../metadata/MetadataBatcherMetrics.ts"
import type { AgentReport } from "../usage/ForwardedMetrics.ts"
import type { Figures, Read, Request } from "../operations/ServiceFigures.ts"
import * as MetricSeries from "../telemetry/MetricSeries.ts"
import * as WorkerMetrics from "../telemetry/WorkerMetrics.ts"

/** The entries that a worker wrote at its end, and its last figures; absent for one that was killed. */
export type Stopped = Option.Option<{ readonly written: number; readonly figures: Figures }>

/** The longest time that a worker may take to send its figures. */
export const readTimeout = Duration.seconds(2)

/** The least time between two questions to a worker. */
const window = Duration.millis(200)

/** A running worker. */
interface Running {
  readonly read: Read
  /** The series that were read last. */
  last: ReadonlyArray<MetricSeries.Series>
}

/** Makes the figures of workers, of which none runs yet. */
export const make = Effect.gen(function* () {
  const context = yield* Effect.context<never>()
  yield* WorkerMetrics.register
  const workers = new Map<number, Running>()
  let written = 0
  let past: ReadonlyArray<MetricSeries.Series> = []

  /** Reads a worker, and returns what agents report to it. */
  const ask = (worker: Running, request: Request): Effect.Effect<ReadonlyArray<AgentReport>> =>
    worker.read(request).pipe(
      Effect.map(({ agents, series }) => {
        worker.last = series
        return agents
      }),
      Effect.timeoutOrElse({ duration: readTimeout, orElse: () => Effect.succeed([]) })
    )

  const sums = () =>
    MetricSeries.sum(
      new Map([
        ["primary", MetricSeries.read(context)],
        ["past", past],
        ...Array.from(workers, ([number, { last }]) => [String(number), last] as const)
      ])
    )

  const coalescer = yield* RequestCoalescer.make<Request, Figures, never>({
    name: "read the figures of all workers",
    window,
    maxSize: 2,
    concurrency: 1,
    keyOf: ({ withAgents }) => withAgents,
    call: Effect.fnUntraced(function* (requests) {
      const withAgents = requests.some((request) => request.withAgents)
      const replies = yield* Effect.forEach(workers.values(), (worker) => ask(worker, { withAgents }), {
        concurrency: "unbounded"
      })
      const agents = replies.flat()
      // workers may have ended meanwhile: each counts once, as running or as past
      const series = sums()
      return (request) => ({ series, agents: request.withAgents ? agents : [] })
    })
  })

  return {
    /** Returns the sums of all workers. */
    readAll: coalescer.request satisfies Read,
    /** Adds a worker that serves. */
    add: (worker: number, read: Read) => Effect.sync(() => void workers.set(worker, { read, last: [] })),
    /** Keeps what a worker has counted beyond its end. Has no effect for one that never served. */
    retire: (worker: number, stopped: Stopped) =>
      Effect.sync(() => {
        const last = workers.get(worker)?.last
        if (last === undefined) return
        workers.delete(worker)
        const series = Option.match(stopped, { onNone: () => last, onSome: ({ figures }) => figures.series })
        if (Option.isSome(stopped)) written += stopped.value.written
        else WorkerMetrics.lostKeys.updateUnsafe(pendingIn(MetricSeries.toContext(last)), context)
        past = MetricSeries.sum(
          new Map([
            ["past", past],
            [String(worker), MetricSeries.lasting(series)]
          ])
        )
      }),
    /** Returns how many entries workers wrote at their ends, and the sums as they were read last. */
    last: Effect.sync(() => ({ written, series: sums() }))
  }
})

const pendingIn = (context: Context.Context<never>): number =>
  Number.sumAll(
    [Batching.pendingKeys, Batching.queueDepth, Batching.inFlightKeys].map((gauge) => gauge.valueUnsafe(context).value)
  )
