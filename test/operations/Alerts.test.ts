/** The alert rules, as Prometheus itself reads them. */
import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as Programs from "../support/programs.ts"

const rules = Path.resolve("src/operations/deploy/alerts.yaml")

const names = [...readFileSync(rules, "utf8").matchAll(/- alert: (\w+)/g)].map(([, name]) => name!)

const promtool = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(Programs.pathOf("promtool")!, args, { encoding: "utf8" })
  return { status, output: stdout + stderr }
}

/** Each series with its values at intervals of thirty seconds, in the notation of Prometheus. */
type Series = Readonly<Record<string, string>>

/** Half an hour of a counter that grows by so many each thirty seconds. */
const grows = (by: number) => `0+${by}x60`

/** Half an hour of a value that does not change. */
const stays = (value: number) => `${value}x60`

const beyond = (histogram: string) => ({
  [`${histogram}_bucket{le="0.1"}`]: stays(0),
  [`${histogram}_bucket{le="60"}`]: grows(10),
  [`${histogram}_bucket{le="+Inf"}`]: grows(10)
})

const within = (histogram: string) => ({
  [`${histogram}_bucket{le="0.1"}`]: grows(10),
  [`${histogram}_bucket{le="60"}`]: grows(10),
  [`${histogram}_bucket{le="+Inf"}`]: grows(10)
})

/** Series that raise one alert each. */
const raising: Readonly<Record<string, Series>> = {
  MetadataLost: { 'coderd_agentapi_metadata_lost_keys_total{reason="rejected"}': grows(1) },
  MetadataDropped: { 'coderd_agentapi_metadata_dropped_keys_by_reason_total{reason="full"}': grows(1) },
  FlushesFail: { 'coderd_agentapi_metadata_flush_failures_total{reason="unavailable"}': grows(1) },
  NothingIsWritten: {
    coderd_agentapi_metadata_accepted_keys_total: grows(100),
    coderd_agentapi_metadata_flushed_total: stays(7)
  },
  FlushesAreSlow: beyond("coderd_agentapi_metadata_flush_duration_seconds"),
  ValuesAreSeenLate: beyond("metadata_batcher_watch_delay_seconds"),
  BacklogGrows: { coderd_agentapi_metadata_pending_keys: stays(60_000) },
  AnnouncementsFail: { coderd_agentapi_metadata_publish_errors_total: grows(1) },
  NotListening: { coder_pubsub_connected: stays(0) },
  AnnouncementsAreSlow: beyond("coder_pubsub_receive_latency_seconds"),
  AgentsHaveGone: { coderd_agentapi_connected_agents: "1000x42 100x18" },
  StatisticsLost: {
    'coderd_agentapi_stats_dropped_total{reason="full"}': grows(1),
    'coderd_agentapi_stats_lost_total{reason="rejected"}': stays(0)
  },
  Restarts: { process_start_time_seconds: "1x15 2x15 3x15 4x15" },
  StoreFails: { 'metadata_batcher_store_failures_total{operation="write",reason="unavailable"}': grows(2) },
  DataRejected: { 'metadata_batcher_store_failures_total{operation="write",reason="rejected"}': grows(1) },
  PoolIsTooSmall: {
    'metadata_batcher_pool_wait_seconds_count{share="writes"}': grows(10),
    'metadata_batcher_pool_wait_seconds_bucket{share="writes",le="1"}': grows(2)
  },
  CallsFail: { 'metadata_batcher_failed_calls_total{call="UpdateStats",reason="Unavailable"}': grows(2) },
  RequestsFail: { 'metadata_batcher_http_responses_total{status="503"}': grows(2) },
  TailnetHeartbeatFails: { coderd_tailnet_heartbeat_failures_total: grows(5) },
  TailnetPeersOverflow: { 'coderd_tailnet_streams_ended_total{reason="overflow"}': grows(2) },
  OldRowsStay: { 'coderd_dbpurge_iteration_duration_seconds_count{success="false"}': grows(1) }
}

/** The series of a service that does well. */
const well: Series = {
  'coderd_agentapi_metadata_lost_keys_total{reason="rejected"}': stays(9),
  'coderd_agentapi_metadata_dropped_keys_by_reason_total{reason="full"}': stays(9),
  coderd_agentapi_metadata_accepted_keys_total: grows(100),
  coderd_agentapi_metadata_flushed_total: grows(100),
  ...within("coderd_agentapi_metadata_flush_duration_seconds"),
  ...within("metadata_batcher_watch_delay_seconds"),
  ...within("coder_pubsub_receive_latency_seconds"),
  coderd_agentapi_metadata_pending_keys: stays(100),
  coder_pubsub_connected: stays(1),
  coderd_agentapi_connected_agents: stays(1_000),
  process_start_time_seconds: stays(1),
  'metadata_batcher_store_failures_total{operation="write",reason="unavailable"}': stays(50),
  'metadata_batcher_pool_wait_seconds_count{share="writes"}': grows(10),
  'metadata_batcher_pool_wait_seconds_bucket{share="writes",le="1"}': grows(10),
  'metadata_batcher_http_responses_total{status="200"}': grows(100),
  'coderd_dbpurge_iteration_duration_seconds_count{success="true"}': grows(1)
}

const withInstance = (name: string) =>
  name.includes("{") ? name.replace("{", '{instance="one",') : `${name}{instance="one"}`

/** A test of the rules: after half an hour of these series those alerts fire. */
const expecting = (series: Series, alerts: ReadonlyArray<string>) => ({
  interval: "30s",
  input_series: Object.entries(series).map(([name, values]) => ({ series: withInstance(name), values })),
  promql_expr_test: [
    {
      expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
      eval_time: "30m",
      exp_samples: alerts.map((alertname) => ({ labels: `{alertname="${alertname}"}`, value: 1 }))
    }
  ]
})

Programs.describeWith("promtool", () => {
  it("takes the alert rules [LF-39]", () => {
    const { output, status } = promtool("check", "rules", rules)

    assert.strictEqual(status, 0, output)
    assert.include(output, `${names.length} rules found`)
  })

  it("raises each alert for what it is about, and none for a service that does well [LF-39]", () => {
    assert.deepStrictEqual(Object.keys(raising), names)
    const folder = mkdtempSync(Path.join(tmpdir(), "metadata-batcher-alerts-"))
    try {
      const file = Path.join(folder, "tests.yaml")
      const tests = [expecting(well, []), ...Object.entries(raising).map(([name, series]) => expecting(series, [name]))]
      // JSON is YAML
      writeFileSync(file, JSON.stringify({ rule_files: [rules], evaluation_interval: "30s", tests }))
      const { output, status } = promtool("test", "rules", file)

      assert.strictEqual(status, 0, output)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
