/** The output of `status`. */
import { assert, it } from "@effect/vitest"
import type { Overview } from "../../src/operations/Overview.ts"
import * as Status from "../../src/operations/Status.ts"

const overview: Overview = {
  point: {
    at: 0,
    agents: 20,
    updates: 80,
    rows: 32.1,
    statements: 0.2,
    notifies: 0.25,
    pending: 8,
    queued: 120,
    writtenAge: 5.1,
    watchDelay: null
  },
  uptime: 3_700,
  problems: [],
  totals: { updates: 296_000, rows: 118_400, statements: 740, notifies: 900, saved: 295_132 },
  sizes: [],
  flushes: [
    { reason: "capacity", total: 0, mean: null, p95: null, isP95Least: false },
    { reason: "scheduled", total: 739, mean: 0.012, p95: 0.022, isP95Least: false },
    { reason: "manual", total: 1, mean: null, p95: null, isP95Least: false }
  ],
  incidents: [{ label: "updates lost: shutdown", isLoss: true, total: 0, recent: 0 }],
  fleet: { replicas: [], sums: { agents: 0, updates: 0, rows: 0, pending: 0 } }
}

it("prints the figures of the dashboard", () => {
  assert.strictEqual(
    Status.render(overview),
    `healthy, up for 1 h 1 min
  agents connected                 20
  updates in                     80/s   296K since the start
  rows written                   32/s   118.4K since the start
  NOTIFYs                       0.3/s   900 since the start
  statements                    0.2/s   740, which saved 295.1K
  pending                           8   120 queued
  flushes, scheduled              739   mean 12 ms, 95 % in 22 ms
  flushes, manual                   1
  dropped or lost                none`
  )
})

it("prints what is wrong", () => {
  const text = Status.render({
    ...overview,
    problems: ["7 updates lost: shutdown"],
    incidents: [{ label: "updates lost: shutdown", isLoss: true, total: 9, recent: 7 }]
  })

  assert.match(text, /^needs attention, up for 1 h 1 min\n/)
  assert.include(text, "  updates lost: shutdown            9   7 in five minutes")
  assert.notInclude(text, "none")
})

it("prints all replicas, and which one answers [RO-08]", () => {
  const figures = { uptime: 1, agents: 1_500, updates: 20, rows: 10.2, pending: 3, problems: [] }
  const text = Status.render({
    ...overview,
    fleet: {
      replicas: [
        { ...figures, name: "a:1", isOwn: true },
        { ...figures, name: "b:1", isOwn: false, problems: ["the database does not answer"] }
      ],
      sums: { agents: 3_000, updates: 40, rows: 20.4, pending: 6 }
    }
  })

  assert.include(
    text,
    `
2 replicas
  a:1 (this one): 1,500 agents, 20 updates/s, 10 rows/s, 3 pending
  b:1: 1,500 agents, 20 updates/s, 10 rows/s, 3 pending; the database does not answer
  all: 3,000 agents, 40 updates/s, 20 rows/s, 6 pending`
  )
})
