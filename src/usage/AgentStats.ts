/**
 * What an agent says in a report of its statistics, and what can be read from it.
 *
 * Everything is bounded, because reports are kept until they are written: a report beyond a limit is refused with the
 * limit. Numbers are whole and from zero up, where nothing else is said.
 */
import { Effect, Schema } from "effect"
import { PostgresText } from "../domain/PostgresText.ts"
import { list } from "../domain/Fields.ts"

/** Names in one map. */
const maxNames = 64

/** Metrics in one report. */
const maxMetrics = 1_000

/** Labels of one metric. */
const maxLabels = 10

const text = (maximum: number) =>
  PostgresText.check(Schema.isMaxLength(maximum, { expected: `at most ${maximum} characters` }))

const Count = Schema.Int.check(
  Schema.isBetween(
    { minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    { expected: `a number from 0 to ${Number.MAX_SAFE_INTEGER}` }
  )
)

const count = Count.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0)))

const counts = Schema.Record(text(64), Count).pipe(
  Schema.check(Schema.isMaxProperties(maxNames, { expected: `at most ${maxNames} names` })),
  Schema.withDecodingDefaultKey(Effect.succeed({}))
)

/** A metric of a program beside the agent, as it is to be shown to whoever collects metrics. */
export const AgentMetric = Schema.Struct({
  name: text(200),
  type: Schema.Literals(["COUNTER", "GAUGE"]),
  value: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  labels: list(Schema.Struct({ name: text(100), value: text(200) })).check(
    Schema.isMaxLength(maxLabels, { expected: `at most ${maxLabels} labels` })
  )
})
export type AgentMetric = typeof AgentMetric.Type

/** The figures of a report: what is stored of it. */
export const Figures = Schema.Struct({
  connections_by_proto: counts,
  connection_count: count,
  /** In milliseconds, below zero where it is not known. */
  connection_median_latency_ms: Schema.Finite.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  rx_packets: count,
  rx_bytes: count,
  tx_packets: count,
  tx_bytes: count,
  session_count_vscode: count,
  session_count_jetbrains: count,
  session_count_reconnecting_pty: count,
  session_count_ssh: count,
  /** Sessions by their type, in place of the four above. */
  session_counts: counts
})
export type Figures = typeof Figures.Type

export const AgentStats = Schema.Struct({
  ...Figures.fields,
  metrics: list(AgentMetric).check(Schema.isMaxLength(maxMetrics, { expected: `at most ${maxMetrics} metrics` }))
})
export type AgentStats = typeof AgentStats.Type

/** The figures of nothing. */
export const none: Figures = {
  connections_by_proto: {},
  connection_count: 0,
  connection_median_latency_ms: -1,
  rx_packets: 0,
  rx_bytes: 0,
  tx_packets: 0,
  tx_bytes: 0,
  session_count_vscode: 0,
  session_count_jetbrains: 0,
  session_count_reconnecting_pty: 0,
  session_count_ssh: 0,
  session_counts: {}
}

/** The same figures with no sessions in them. */
export const withoutSessions = (figures: Figures): Figures => ({
  ...figures,
  session_count_vscode: 0,
  session_count_jetbrains: 0,
  session_count_reconnecting_pty: 0,
  session_count_ssh: 0,
  session_counts: {}
})

/** Whether anyone has a session. */
export const hasSessions = (figures: Figures): boolean =>
  [
    figures.session_count_vscode,
    figures.session_count_jetbrains,
    figures.session_count_reconnecting_pty,
    figures.session_count_ssh,
    ...Object.values(figures.session_counts)
  ].some((sessions) => sessions > 0)
