/**
 * Shows the metrics that agents report on the page of the service's own metrics.
 *
 * - Each series has the labels of its agent before its own: `username`, `workspace`, `agent` and `template`.
 * - An agent shows its last report, until `expireAfter` has passed since.
 * - The page stays valid whatever agents report. A series is left out, and counted by its reason, if its name or a label is
 *   invalid or one of the agent's labels, if it is a counter below zero or given twice, if it has the name of a metric of
 *   the service, and if another agent reports it with another type.
 * - The page and the memory for it are bounded: the series and the bytes of one agent, of one owner, and of all agents.
 */
import { Clock, Context, Duration, Effect, Layer } from "effect"
import { byteLength } from "../domain/Utf8.ts"
import type { AgentMetric } from "./AgentStats.ts"
import * as Metrics from "./StatsMetrics.ts"

export interface Options {
  /** The longest time that a report is shown. Default 2 minutes. */
  readonly expireAfter?: Duration.Input | undefined
  /** The most series and bytes of one agent. Default 1 000 series, 256 KiB. */
  readonly perAgent?: Bound | undefined
  /** The most series and bytes of all agents of one owner. Default 10 000 series, 2 MiB. */
  readonly perOwner?: Bound | undefined
  /** The most series and bytes of all agents. Default 100 000 series, 11 MiB. */
  readonly inAll?: Bound | undefined
}

export interface Bound {
  readonly series: number
  readonly bytes: number
}

/** The agent that reports metrics, in the labels of its series. */
export interface Owner {
  readonly username: string
  readonly workspace: string
  readonly agent: string
  readonly template: string
}

/** The metrics that an agent shows on the page. */
export interface AgentReport {
  /** The labels of the agent, as its series have them. */
  readonly agent: string
  /** Milliseconds since it was reported. */
  readonly age: number
  readonly families: ReadonlyArray<{
    readonly name: string
    readonly type: AgentMetric["type"]
    /** The text of the series. */
    readonly lines: string
  }>
}

export class ForwardedMetrics extends Context.Service<
  ForwardedMetrics,
  {
    /** Shows the metrics of an agent in place of those that it has shown before. */
    readonly report: (owner: Owner, metrics: ReadonlyArray<AgentMetric>) => Effect.Effect<void>
    /** Returns what agents show beside `own`, the page of the service's own metrics. */
    readonly reports: (own: string) => Effect.Effect<ReadonlyArray<AgentReport>>
  }
>()("metadata-batcher/usage/ForwardedMetrics") {}

interface Family {
  readonly type: AgentMetric["type"]
  /** The values by the text of their labels. */
  readonly series: Map<string, number>
}

interface Agent {
  readonly username: string
  readonly expiresAt: bigint
  readonly series: ReadonlyArray<readonly [family: string, labels: string]>
  readonly bytes: number
}

type Dropped = keyof typeof Metrics.droppedSeries

export const make = Effect.fnUntraced(function* (options: Options = {}): Effect.fn.Return<ForwardedMetrics["Service"]> {
  const perAgent = options.perAgent ?? { series: 1_000, bytes: 256 * 1_024 }
  const perOwner = options.perOwner ?? { series: 10_000, bytes: 2 * 1_024 * 1_024 }
  const inAll = options.inAll ?? { series: 100_000, bytes: 11 * 1_024 * 1_024 }
  const expireAfter = Duration.toNanosUnsafe(Duration.fromInputUnsafe(options.expireAfter ?? "2 minutes"))
  const context = yield* Effect.context<never>()
  const families = new Map<string, Family>()
  // in the order of their last report
  const agents = new Map<string, Agent>()
  const owners = new Map<string, Size>()
  const all: Size = { series: 0, bytes: 0 }
  yield* Metrics.registerSeries

  const drop = (reason: Dropped, count = 1) => Metrics.droppedSeries[reason].updateUnsafe(count, context)

  const remove = (name: string, labels: string) => {
    const family = families.get(name)
    if (family?.series.delete(labels) !== true) return
    shrink(all, 1, lineBytes(name, labels))
    if (family.series.size > 0) return
    families.delete(name)
    shrink(all, 0, headBytes(name))
  }

  const forget = (key: string) => {
    const agent = agents.get(key)
    if (agent === undefined) return
    for (const [name, labels] of agent.series) remove(name, labels)
    agents.delete(key)
    const owner = owners.get(agent.username)!
    shrink(owner, agent.series.length, agent.bytes)
    if (owner.series === 0) owners.delete(agent.username)
  }

  const expire = (now: bigint) => {
    for (const [key, { expiresAt }] of agents) {
      if (expiresAt > now) return
      forget(key)
    }
  }

  /** Returns the text of series by their families. */
  const familiesOf = (series: Agent["series"]): AgentReport["families"] => {
    const lines = new Map<string, string>()
    for (const [name, labels] of series) {
      const value = families.get(name)?.series.get(labels)
      if (value !== undefined) lines.set(name, `${lines.get(name) ?? ""}${name}{${labels}} ${value}\n`)
    }
    return Array.from(lines, ([name, text]) => ({ name, type: families.get(name)!.type, lines: text }))
  }

  /** Shows a series, or returns why it is left out. */
  const show = (metric: AgentMetric, labels: string, agent: Size, owner: Size): Dropped | undefined => {
    const known = families.get(metric.name)
    if (known !== undefined && known.type !== metric.type) return "type_conflict"
    if (known?.series.has(labels) === true) return "duplicate"
    const bytes = lineBytes(metric.name, labels)
    if (!hasRoom(agent, perAgent, bytes)) return "agent_limit"
    if (!hasRoom(owner, perOwner, bytes)) return "owner_limit"
    const head = known === undefined ? headBytes(metric.name) : 0
    if (!hasRoom(all, inAll, bytes + head)) return "full"
    const family: Family = known ?? { type: metric.type, series: new Map() }
    families.set(metric.name, family)
    family.series.set(labels, metric.value)
    grow(all, bytes + head)
    grow(owner, bytes)
    grow(agent, bytes)
    return undefined
  }

  return {
    report: (owner, metrics) =>
      Effect.map(Clock.monotonicTimeNanos, (now) => {
        const ownerLabels = Object.entries(owner).map(([name, value]) => formatLabel(name, value))
        const key = ownerLabels.join(",")
        forget(key)
        expire(now)
        const ofAgent: Size = { series: 0, bytes: 0 }
        const ofOwner = owners.get(owner.username) ?? { series: 0, bytes: 0 }
        const series: Array<readonly [string, string]> = []
        for (const metric of metrics) {
          const own = ownLabels(metric)
          if (own === undefined) {
            drop("invalid")
            continue
          }
          const labels = [...ownerLabels, ...own].join(",")
          const reason = show(metric, labels, ofAgent, ofOwner)
          if (reason === undefined) series.push([metric.name, labels])
          else drop(reason)
        }
        if (series.length === 0) return
        owners.set(owner.username, ofOwner)
        agents.set(key, { username: owner.username, expiresAt: now + expireAfter, series, bytes: ofAgent.bytes })
      }),

    reports: (own) =>
      Effect.map(Clock.monotonicTimeNanos, (now) => {
        expire(now)
        const taken = namesOn(own)
        for (const [name, { series }] of families) {
          if (!taken.has(name)) continue
          drop("reserved", series.size)
          for (const labels of series.keys()) remove(name, labels)
        }
        return Array.from(agents, ([agent, { expiresAt, series }]) => ({
          agent,
          age: Number(now + expireAfter - expiresAt) / 1e6,
          families: familiesOf(series)
        }))
      })
  }
})

export const layer = (options?: Options): Layer.Layer<ForwardedMetrics> => Layer.effect(ForwardedMetrics, make(options))

// -----------------------------------------------------------------------------
// the text format
// -----------------------------------------------------------------------------

/** The least length of a piece of the page, but for the last one. */
const pieceLength = 65_536

/**
 * Returns the text that follows the page of the service's own metrics, in pieces. Of two reports of one agent the newer one
 * is shown, and of two types of one family the first.
 */
export function* pieces(reports: Iterable<AgentReport>): Generator<string> {
  const newest = new Map<string, AgentReport>()
  for (const report of reports) {
    if (report.age < (newest.get(report.agent)?.age ?? Infinity)) newest.set(report.agent, report)
  }
  const families = Map.groupBy(
    [...newest.values()].flatMap((report) => report.families),
    ({ name }) => name
  )
  let piece = ""
  for (const [name, parts] of families) {
    const { type } = parts[0]!
    piece += head(name, type)
    for (const part of parts) {
      if (part.type === type) piece += part.lines
      if (piece.length < pieceLength) continue
      yield piece
      piece = ""
    }
  }
  if (piece !== "") yield piece
}

const head = (name: string, type: string) =>
  `# HELP ${name} Forwarded from agents that are connected to this replica.\n# TYPE ${name} ${type.toLowerCase()}\n`

const headBytes = (name: string) => head(name, "COUNTER").length

/** The longest text of a number, such as -2.2250738585072014e-308. */
const valueLength = 24

const lineBytes = (name: string, labels: string) => name.length + byteLength(labels) + valueLength + "{} \n".length

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

// names that begin with two underscores are for Prometheus itself
const labelName = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/

const ownerNames: ReadonlyArray<string> = ["username", "workspace", "agent", "template"] satisfies Array<keyof Owner>

/** Returns the labels of a metric in the order of their names, or `undefined` if the metric cannot be shown. */
const ownLabels = ({ labels, name, type, value }: AgentMetric): ReadonlyArray<string> | undefined => {
  const isValid =
    metricName.test(name) &&
    (type === "GAUGE" || value >= 0) &&
    labels.every((label) => labelName.test(label.name) && !ownerNames.includes(label.name)) &&
    new Set(labels.map((label) => label.name)).size === labels.length
  if (!isValid) return undefined
  return (
    labels
      // an empty label is the same as none
      .filter((label) => label.value !== "")
      .map((label) => formatLabel(label.name, label.value))
      .sort()
  )
}

const formatLabel = (name: string, value: string) =>
  `${name}="${value.replaceAll(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`))}"`

/** Returns the names of the families and of the samples of a page. */
const namesOn = (page: string): ReadonlySet<string> =>
  new Set([...page.matchAll(/^(?:# TYPE )?([a-zA-Z_:][a-zA-Z0-9_:]*)/gm)].map(([, name]) => name!))

// -----------------------------------------------------------------------------
// sizes
// -----------------------------------------------------------------------------

interface Size {
  series: number
  bytes: number
}

const hasRoom = (size: Size, bound: Bound, bytes: number) =>
  size.series < bound.series && size.bytes + bytes <= bound.bytes

const grow = (size: Size, bytes: number) => {
  size.series += 1
  size.bytes += bytes
}

const shrink = (size: Size, series: number, bytes: number) => {
  size.series -= series
  size.bytes -= bytes
}
