/** The text of the metrics that agents report, as several workers put it together. */
import { assert, describe, it } from "@effect/vitest"
import type { AgentMetric } from "../../src/usage/AgentStats.ts"
import * as ForwardedMetrics from "../../src/usage/ForwardedMetrics.ts"
import * as Prometheus from "../support/prometheus.ts"

describe("the page of ForwardedMetrics", () => {
  it("comes in pieces of at least 64 KiB, but for the last one, which is not empty", () => {
    const report = (agent: string, lines: string) => ({
      agent,
      age: 1,
      families: [{ name: "load", type: "GAUGE" as const, lines }]
    })
    const head = "# HELP load Forwarded from agents that are connected to this replica.\n# TYPE load gauge\n"
    const sizes = (...lines: ReadonlyArray<number>) =>
      Array.from(
        ForwardedMetrics.pieces(lines.map((length, index) => report(String(index), "x".repeat(length)))),
        (piece) => piece.length
      )

    assert.deepStrictEqual(sizes(), [])
    assert.deepStrictEqual(sizes(65_535 - head.length), [65_535])
    assert.deepStrictEqual(sizes(65_535 - head.length, 1, 5), [65_536, 5])
    assert.deepStrictEqual(sizes(65_536 - head.length, 1), [65_536, 1])
    assert.deepStrictEqual(sizes(65_536 - head.length), [65_536])
  })

  it("shows the newest of the reports of an agent to several workers, each family once [WK-13]", () => {
    const report = (agent: string, age: number, name: string, type: AgentMetric["type"] = "GAUGE") => ({
      agent,
      age,
      families: [{ name, type, lines: `${name}{agent="${agent}"} ${age}\n` }]
    })

    const text = [
      ...ForwardedMetrics.pieces([
        report("a", 20, "load"),
        report("b", 10, "load"),
        report("a", 5, "load"),
        report("c", 5, "load", "COUNTER")
      ])
    ].join("")

    assert.deepStrictEqual(Prometheus.valuesBy("agent", "load", text), [
      ["a", 5],
      ["b", 10]
    ])
  })
})
