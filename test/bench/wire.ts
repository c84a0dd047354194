/**
 * The original's protocol: what a report and an idle connection of a stock agent cost the service, against the least
 * that can be done with the same bytes, the contract in JSON, and a Go server of the libraries of stock agents.
 */
import { Effect, Result } from "effect"
import * as Servers from "./report/servers.ts"
import * as Table from "./Table.ts"
import * as GoServer from "./wire/goServer.ts"

const scales = {
  full: { connections: 200, press: "1500 millis", many: 10_000, rest: "30 seconds", idle: "60 seconds" },
  smoke: { connections: 4, press: "50 millis", many: 20, rest: "50 millis", idle: "50 millis" }
} as const

const routes: Servers.Server = { name: "the original's protocol", kind: "routes", protocol: "original" }
const servers: ReadonlyArray<Servers.Server> = [
  routes,
  {
    name: "ws, yamux, dRPC, protobuf",
    kind: "frames",
    protocol: "original",
    remark: "limit: no routes, tokens, calls; same frames, same decoding, same rules for entries, same batcher"
  },
  { name: "the contract in JSON", kind: "routes", protocol: "JSON" }
]

export const wire: Table.Part = {
  name: "wire",
  description: "reports and connections of stock agents, in the original's protocol",
  tables: Effect.fnUntraced(function* (scale) {
    const { connections, idle, many, press, rest } = scales[scale]
    const go = yield* Effect.result(GoServer.build)
    const all = Result.isSuccess(go) ? [...servers, go.success] : servers
    const skipped = Result.isFailure(go) ? [{ name: GoServer.name, skipped: go.failure.message }] : []
    const started = yield* Servers.start(all, connections)

    return [
      Table.make({
        name: "press",
        title: "as many reports as are answered, one under way per agent",
        notes: [
          `${connections} agents report 10 keys a time over WebSockets from this process, with the messages of a stock agent: six for each`,
          "report, and one in return. Each agent keeps three other streams open."
        ],
        columns: { "server CPU us/report": 1, "reports/s": 0, "p50 ms": 1, "p99 ms": 1 },
        reference: routes.name,
        contestants: [
          ...Servers.contestants(
            started,
            (fleet) => fleet.press(press),
            ({ cpuMillis, millis, quantile, reports }) => ({
              "server CPU us/report": (cpuMillis * 1_000) / reports,
              "reports/s": (reports * 1_000) / millis,
              "p50 ms": quantile(0.5),
              "p99 ms": quantile(0.99)
            })
          ),
          ...skipped
        ]
      }),
      Table.make({
        name: "idle",
        title: `${many} connections with three open streams each, that send nothing but keepalives`,
        notes: [
          "A new process each time. Memory per connection is what the process has above what it had with none, its garbage",
          `collected; each agent has reported once by then. CPU is of a minute that begins ${rest} after that.`
        ],
        columns: { "KB/connection": 1, "heap KB/connection": 1, "RSS MB": 0, "server CPU %": 2 },
        reference: routes.name,
        warmsUp: false,
        rounds: 1,
        contestants: [
          ...(yield* Servers.fresh(
            all,
            many,
            (fleet) => fleet.idle(idle),
            ({ cpuMillis, millis }, { perConnection, residentBytes }) => ({
              "KB/connection": perConnection.residentBytes / 1e3,
              "heap KB/connection": perConnection.heapBytes / 1e3,
              "RSS MB": residentBytes / 1e6,
              "server CPU %": (cpuMillis / millis) * 100
            }),
            rest
          )),
          ...skipped
        ]
      })
    ]
  })
}
