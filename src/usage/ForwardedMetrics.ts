/**
 * Shows the metrics that agents report to whoever collects those of the service.
 *
 * - Each has the labels of its agent, `username`, `workspace`, `agent` and `template`, before its own.
 * - An agent shows what it has reported last. Some time after its last report it shows nothing any more.
 * - The page stays valid whatever agents report. Left out, and counted under their reason, are metrics whose names or
 *   labels are none or are those of the agent, counters below zero, series given twice, metrics of the service itself, and
 *   those that others report as another type.
 * - Memory is bounded: series beyond `maxSeries` are left out, and counted.
 */
import { Clock, Context, Duration, Effect, Layer } from "effect"
import type { AgentMetric } from "./AgentStats.ts"
import * as Metrics from "./StatsMetrics.ts"

export interface Options {
  /** Series that are shown. Default 100 000. */
  readonly maxSeries?: number | undefined
  /** How long an agent that reports no more is shown. Default 2 minutes. */
  readonly expireAfter?: Duration.Input | undefined
}

/** Whose metrics they are. */
export interface Owner {
  readonly username: string
  readonly workspace: string
  readonly agent: string
  readonly template: string
}

export class ForwardedMetrics extends Context.Service<
  ForwardedMetrics,
  {
    /** Shows these metrics of an agent, in place of what it has shown. */
    readonly report: (owner: Owner, metrics: ReadonlyArray<AgentMetric>) => Effect.Effect<void>
    /** What is to follow a page of the service's own metrics, in the text format of Prometheus. */
    readonly page: (own: string) => Effect.Effect<string>
  }
>()("metadata-batcher/usage/ForwardedMetrics") {}

interface Family {
  readonly type: AgentMetric["type"]
  /** Values by their labels, as they are written. */
  readonly series: Map<string, number>
}

interface Agent {
  readonly expiresAt: number
  readonly series: ReadonlyArray<readonly [family: string, labels: string]>
}

type Dropped = keyof typeof Metrics.droppedSeries

export const make = Effect.fnUntraced(function* (options: Options = {}): Effect.fn.Return<ForwardedMetrics["Service"]> {
  const { maxSeries = 100_000 } = options
  const expireAfter = Duration.toMillis(Duration.fromInputUnsafe(options.expireAfter ?? "2 minutes"))
  const context = yield* Effect.context<never>()
  const families = new Map<string, Family>()
  // in the order of their last report
  const agents = new Map<string, Agent>()
  let size = 0
  yield* Metrics.register

  const drop = (reason: Dropped, count = 1) => Metrics.droppedSeries[reason].updateUnsafe(count, context)

  const forget = (agent: string) => {
    for (const [name, labels] of agents.get(agent)?.series ?? []) {
      const family = families.get(name)
      if (family?.series.delete(labels) === true) size -= 1
      if (family?.series.size === 0) families.delete(name)
    }
    agents.delete(agent)
  }

  const expire = (now: number) => {
    for (const [agent, { expiresAt }] of agents) {
      if (expiresAt > now) return
      forget(agent)
    }
  }

  /** Answers why a series cannot be shown, or shows it. */
  const show = (metric: AgentMetric, labels: string): Dropped | undefined => {
    const family: Family = families.get(metric.name) ?? { type: metric.type, series: new Map() }
    if (family.type !== metric.type) return "type_conflict"
    if (family.series.has(labels)) return "duplicate"
    if (size >= maxSeries) return "full"
    families.set(metric.name, family)
    family.series.set(labels, metric.value)
    size += 1
    return undefined
  }

  return {
    report: (owner, metrics) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const ownerLabels = Object.entries(owner).map(([name, value]) => formatLabel(name, value))
        const agent = ownerLabels.join(",")
        forget(agent)
        expire(now)
        const series: Array<readonly [string, string]> = []
        for (const metric of metrics) {
          const own = ownLabels(metric)
          const labels = [...ownerLabels, ...(own ?? [])].join(",")
          const reason = own === undefined ? "invalid" : show(metric, labels)
          if (reason === undefined) series.push([metric.name, labels])
          else drop(reason)
        }
        if (series.length > 0) agents.set(agent, { expiresAt: now + expireAfter, series })
      }),

    page: (own) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        expire(now)
        const taken = namesOn(own)
        const lines: Array<string> = []
        for (const [name, { series, type }] of families) {
          if (taken.has(name)) {
            drop("reserved", series.size)
            size -= series.size
            families.delete(name)
            continue
          }
          lines.push(`# HELP ${name} Forwarded from agents that are connected to this replica.`)
          lines.push(`# TYPE ${name} ${type.toLowerCase()}`)
          for (const [labels, value] of series) lines.push(`${name}{${labels}} ${value}`)
        }
        return lines.map((line) => `${line}\n`).join("")
      })
  }
})

export const layer = (options?: Options): Layer.Layer<ForwardedMetrics> => Layer.effect(ForwardedMetrics, make(options))

// -----------------------------------------------------------------------------
// the text format
// -----------------------------------------------------------------------------

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

// names that begin with two underscores are for Prometheus itself
const labelName = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/

const ownerNames: ReadonlyArray<string> = ["username", "workspace", "agent", "template"] satisfies Array<keyof Owner>

/** The labels that a metric brings along, in their order by name, or `undefined` if it cannot be shown. */
const ownLabels = ({ labels, name, type, value }: AgentMetric): ReadonlyArray<string> | undefined => {
  const isValid =
    metricName.test(name) &&
    (type === "GAUGE" || value >= 0) &&
    labels.every((label) => labelName.test(label.name) && !ownerNames.includes(label.name)) &&
    new Set(labels.map((label) => label.name)).size === labels.length
  if (!isValid) return undefined
  return (
    labels
      // a label without a value is the same as none
      .filter((label) => label.value !== "")
      .map((label) => formatLabel(label.name, label.value))
      .sort()
  )
}

const formatLabel = (name: string, value: string) =>
  `${name}="${value.replaceAll(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`))}"`

/** The names of the families and of the samples of a page. */
const namesOn = (page: string): ReadonlySet<string> =>
  new Set([...page.matchAll(/^(?:# TYPE )?([a-zA-Z_:][a-zA-Z0-9_:]*)/gm)].map(([, name]) => name!))
