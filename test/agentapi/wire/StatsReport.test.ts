/** The statistics of an agent of the original, as the contract gets them. */
import { create, type MessageInitShape } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { UpdateStatsRequest } from "../../../src/agentapi/calls/Stats.ts"
import { toContract } from "../../../src/agentapi/wire/Conversion.ts"
import { acceptable } from "../../../src/agentapi/wire/StatsReport.ts"
import { Stats_Metric_Type, type StatsSchema, UpdateStatsRequestSchema } from "../../../src/wire/generated/agent_pb.ts"

const accept = Schema.decodeUnknownSync(UpdateStatsRequest)

const decoded = (stats: MessageInitShape<typeof StatsSchema>) => {
  const request = toContract(UpdateStatsRequestSchema, create(UpdateStatsRequestSchema, { stats }))
  assert.throws(() => accept(request))
  return accept(acceptable(request)).stats!
}

const byName = (names: number, name: (index: number) => string) =>
  Object.fromEntries(Array.from({ length: names }, (_, index) => [name(index), 1n]))

const metric = (name: string, value = 1) => ({ name, type: Stats_Metric_Type.GAUGE, value })

describe("statistics in the original's protocol", () => {
  it("keep the first 64 names of a map, and the counts of long names, which are cut [WI-83]", () => {
    const [many, long] = [byName(70, (index) => `type ${index}`), byName(3, (index) => `${"x".repeat(64)}${index}`)]

    assert.deepStrictEqual(Object.keys(decoded({ sessionCounts: many }).session_counts), Object.keys(many).slice(0, 64))
    assert.lengthOf(Object.keys(decoded({ connectionsByProto: many }).connections_by_proto), 64)
    assert.deepStrictEqual(decoded({ sessionCounts: long }).session_counts, { ["x".repeat(64)]: 3 })
  })

  it("keep the first 1 000 metrics that have a type and are finite numbers [WI-83]", () => {
    const odd = [
      { ...metric("untyped"), type: Stats_Metric_Type.TYPE_UNSPECIFIED },
      { ...metric("of a later version"), type: 9 as Stats_Metric_Type },
      metric("none", Number.NaN),
      metric("endless", Number.POSITIVE_INFINITY)
    ]
    const good = Array.from({ length: 1_100 }, (_, index) => metric(`m${index}`, index))

    assert.deepStrictEqual(
      decoded({ metrics: [...odd, ...good] }).metrics.map(({ name }) => name),
      good.slice(0, 1_000).map(({ name }) => name)
    )
    for (const one of odd) assert.deepStrictEqual(decoded({ metrics: [one] }).metrics, [])
  })

  it("have long names and labels cut, and keep the first ten labels of a metric [WI-83]", () => {
    const label = { name: "n".repeat(500), value: "😀".repeat(500) }
    const [kept] = decoded({
      metrics: [{ ...metric("m".repeat(500)), labels: Array.from({ length: 20 }, () => label) }]
    }).metrics

    assert.deepStrictEqual(kept, {
      name: "m".repeat(200),
      type: "GAUGE",
      value: 1,
      labels: Array.from({ length: 10 }, () => ({ name: "n".repeat(100), value: "😀".repeat(100) }))
    })
  })

  it("have no count below zero, and no latency that is not a number [WI-83]", () => {
    assert.deepInclude(decoded({ rxBytes: -1n, sessionCountSsh: -5n, txBytes: 7n, sessionCounts: { ssh: -1n } }), {
      rx_bytes: 0,
      session_count_ssh: 0,
      tx_bytes: 7,
      session_counts: { ssh: 0 }
    })
    assert.strictEqual(decoded({ connectionMedianLatencyMs: Number.NaN }).connection_median_latency_ms, -1)
  })
})
