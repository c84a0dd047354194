/**
 * The figures of the whole service: of this process, or of all workers if this process is one of them. `/metrics`, the
 * overview and the status command read them here.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import * as MetricSeries from "../telemetry/MetricSeries.ts"
import { type AgentReport, ForwardedMetrics } from "../usage/ForwardedMetrics.ts"
import { PrometheusMetrics } from "effect/observability"

/** The figures of a process, as they are sent to another one. */
export interface Figures {
  readonly series: ReadonlyArray<MetricSeries.Series>
  /** The metrics that agents reported; empty unless they were asked for. */
  readonly agents: ReadonlyArray<AgentReport>
}

/** A choice of figures. */
export interface Request {
  /** Whether the metrics that agents reported are among them. */
  readonly withAgents: boolean
}

export type Read = (request: Request) => Effect.Effect<Figures>

/** The other workers of a service, as one of them reaches them. */
export interface Siblings {
  /** When the service started, in milliseconds since the epoch. */
  readonly startedAt: number
  /** Returns the sums of all workers. */
  readonly readAll: Read
  /** Lets the others read the figures of this worker, until the scope closes. */
  readonly share: (read: Read) => Effect.Effect<void, never, Scope.Scope>
}

/** The siblings of this process; `undefined` if the service is this process alone. */
export const Siblings = Context.Reference<Siblings | undefined>("metadata-batcher/operations/Siblings", {
  defaultValue: () => undefined
})

/** Returns a context in which metrics have the states of the whole service. */
export const metrics: Effect.Effect<Context.Context<never>> = Effect.gen(function* () {
  const siblings = yield* Siblings
  if (siblings === undefined) return yield* Effect.context<never>()
  return MetricSeries.toContext((yield* siblings.readAll({ withAgents: false })).series)
})

/** Returns the metrics of the whole service, and the metrics that agents reported. */
export const all = Effect.gen(function* () {
  const siblings = yield* Siblings
  return yield* siblings === undefined ? own({ withAgents: true }) : siblings.readAll({ withAgents: true })
})

/** Returns the figures of this process. */
const own = Effect.fnUntraced(function* ({ withAgents }: Request) {
  const forwarded = yield* ForwardedMetrics
  const context = yield* Effect.context<never>()
  const agents = withAgents ? yield* forwarded.reports(PrometheusMetrics.formatUnsafe(context)) : []
  return { series: MetricSeries.read(context), agents } satisfies Figures
})

/** Lets the siblings of this process read its figures. */
export const layer: Layer.Layer<never, never, ForwardedMetrics> = Layer.effectDiscard(
  Effect.gen(function* () {
    const siblings = yield* Siblings
    if (siblings === undefined) return
    const context = yield* Effect.context<ForwardedMetrics>()
    yield* siblings.share((request) => Effect.provideContext(own(request), context))
  })
)
