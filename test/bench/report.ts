/**
 * The report path: what a report costs from its socket to the batcher, through the routes of the service.
 */
import { Effect } from "effect"
import * as Servers from "./report/servers.ts"
import * as Table from "./Table.ts"

const scales = {
  full: { connections: 200, press: "1500 millis", pace: "2 seconds", perSecond: 1_000, many: 10_000 },
  smoke: { connections: 4, press: "50 millis", pace: "50 millis", perSecond: 100, many: 20 }
} as const

const servers: ReadonlyArray<Servers.Server> = [
  { name: "routes of the service", kind: "routes", protocol: "JSON" },
  {
    name: "ws, JSON.parse and the schema",
    kind: "plain",
    protocol: "JSON",
    remark: "limit: no routes, tokens, calls; same schema, same rules for entries, same batcher"
  }
]
const reference = servers[0]!.name

export const report: Table.Part = {
  name: "report",
  description: "reports over WebSockets into the batcher, whose store does nothing",
  tables: Effect.fnUntraced(function* (scale) {
    const { connections, many, pace, perSecond, press } = scales[scale]
    const started = yield* Servers.start(servers, connections)
    const notes = [
      `${connections} agents report 10 keys a time over bare WebSockets (ws) from this process; the server has a process of`,
      "its own, and what this one leaves of the machine."
    ]

    return [
      Table.make({
        name: "press",
        title: "as many reports as are answered, one under way per agent",
        notes,
        columns: { "reports/s": 0, "server CPU us/report": 1, "p50 ms": 1, "p99 ms": 1, dropped: 0 },
        reference,
        contestants: Servers.contestants(
          started,
          (fleet) => fleet.press(press),
          ({ cpuMillis, dropped, millis, quantile, reports }) => ({
            "reports/s": (reports * 1_000) / millis,
            "server CPU us/report": (cpuMillis * 1_000) / reports,
            "p50 ms": quantile(0.5),
            "p99 ms": quantile(0.99),
            dropped
          })
        )
      }),
      Table.make({
        name: "pace",
        title: `${perSecond} reports a second, whether they are answered or not`,
        notes,
        columns: { "p50 ms": 2, "p99 ms": 2, "server CPU %": 1, dropped: 0 },
        reference,
        contestants: Servers.contestants(
          started,
          (fleet) => fleet.pace(perSecond, pace),
          ({ cpuMillis, dropped, millis, quantile }) => ({
            "p50 ms": quantile(0.5),
            "p99 ms": quantile(0.99),
            "server CPU %": (cpuMillis / millis) * 100,
            dropped
          })
        )
      }),
      Table.make({
        name: "connections",
        title: `${many} connections that report ${perSecond} times a second all together`,
        notes: [
          "A new process each time. Memory per connection is what the process has above what it had with none, its garbage",
          "collected; each agent has reported once by then."
        ],
        columns: {
          "KB/connection": 1,
          "heap KB/connection": 1,
          "RSS MB": 0,
          "p50 ms": 2,
          "p99 ms": 2,
          "server CPU %": 1,
          dropped: 0
        },
        reference,
        warmsUp: false,
        contestants: yield* Servers.fresh(
          servers,
          many,
          (fleet) => fleet.pace(perSecond, pace),
          ({ cpuMillis, dropped, millis, quantile }, { perConnection, residentBytes }) => ({
            "KB/connection": perConnection.residentBytes / 1e3,
            "heap KB/connection": perConnection.heapBytes / 1e3,
            "RSS MB": residentBytes / 1e6,
            "p50 ms": quantile(0.5),
            "p99 ms": quantile(0.99),
            "server CPU %": (cpuMillis / millis) * 100,
            dropped
          })
        )
      })
    ]
  })
}
