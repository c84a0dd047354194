/**
 * The statistics that an agent reports.
 *
 * Everything is bounded, because reports are kept until they are written: a report beyond a limit is refused with the
 * limit. Numbers are whole and not negative, unless a field says otherwise.
 */
import { Effect, Schema } from "effect"
import { PostgresText } from "../domain/PostgresText.ts"
import { list } from "../domain/Fields.ts"

/** The most names in a map, metrics in a report and labels of a metric, and the most characters of each text. */
export const limits = {
  names: 64,
  name: 64,
  metrics: 1_000,
  metricName: 200,
  labels: 10,
  labelName: 100,
  labelValue: 200
} as const

/** The types of a metric. */
export const metricTypes = ["COUNTER", "GAUGE"] as const

const text = (maximum: number) =>
  PostgresText.check(Schema.isMaxLength(maximum, { expected: `at most ${maximum} characters` }))

const Count = Schema.Int.check(
  Schema.isBetween(
    { minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    { expected: `a number from 0 to ${Number.MAX_SAFE_INTEGER}` }
  )
)

const count = Count.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0)))

const counts = Schema.Record(text(limits.name), Count).pipe(
  Schema.check(Schema.isMaxProperties(limits.names, { expected: `at most ${limits.names} names` })),
  Schema.withDecodingDefaultKey(Effect.succeed({}))
)

/** A metric of a program beside the agent, which `/metrics` shows. */
export const AgentMetric = Schema.Struct({
  name: text(limits.metricName),
  type: Schema.Literals(metricTypes),
  value: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  labels: list(Schema.Struct({ name: text(limits.labelName), value: text(limits.labelValue) })).check(
    Schema.isMaxLength(limits.labels, { expected: `at most ${limits.labels} labels` })
  )
})
export type AgentMetric = typeof AgentMetric.Type

/** The counters of a report, which are stored. */
export const StatsCounters = Schema.Struct({
  connections_by_proto: counts,
  connection_count: count,
  /** In milliseconds; negative when it is unknown. */
  connection_median_latency_ms: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  rx_packets: count,
  rx_bytes: count,
  tx_packets: count,
  tx_bytes: count,
  session_count_vscode: count,
  session_count_jetbrains: count,
  session_count_reconnecting_pty: count,
  session_count_ssh: count,
  /** Sessions by type; programs that send this leave the four counters above at zero. */
  session_counts: counts
})
export type StatsCounters = typeof StatsCounters.Type

export const AgentStats = Schema.Struct({
  ...StatsCounters.fields,
  metrics: list(AgentMetric).check(
    Schema.isMaxLength(limits.metrics, { expected: `at most ${limits.metrics} metrics` })
  )
})
export type AgentStats = typeof AgentStats.Type

const noSessions = {
  session_count_vscode: 0,
  session_count_jetbrains: 0,
  session_count_reconnecting_pty: 0,
  session_count_ssh: 0,
  session_counts: {}
} satisfies Partial<StatsCounters>

/** The counters of a report without any activity. */
export const zeroCounters: StatsCounters = {
  connections_by_proto: {},
  connection_count: 0,
  connection_median_latency_ms: -1,
  rx_packets: 0,
  rx_bytes: 0,
  tx_packets: 0,
  tx_bytes: 0,
  ...noSessions
}

/** Returns the counters without their sessions. */
export const withoutSessions = (counters: StatsCounters): StatsCounters => ({ ...counters, ...noSessions })

/** Returns whether there is any session. */
export const hasSessions = (counters: StatsCounters): boolean =>
  [
    counters.session_count_vscode,
    counters.session_count_jetbrains,
    counters.session_count_reconnecting_pty,
    counters.session_count_ssh,
    ...Object.values(counters.session_counts)
  ].some((sessions) => sessions > 0)
