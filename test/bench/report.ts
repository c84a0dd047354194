/**
 * The report path: what a report costs from its socket to the batcher, through the routes of the service.
 */
import { Data, Effect } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import * as Fleet from "./Fleet.ts"
import * as Program from "./Program.ts"
import * as Usage from "./report/Usage.ts"
import * as Table from "./Table.ts"
import * as Workload from "./Workload.ts"

const scales = {
  full: { connections: 200, press: "1500 millis", pace: "2 seconds", perSecond: 1_000, many: 10_000 },
  smoke: { connections: 4, press: "50 millis", pace: "50 millis", perSecond: 100, many: 20 }
} as const

class ServerError extends Data.TaggedError("ServerError")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

/** A server in a process of its own. */
const serve = Effect.fnUntraced(function* (kind: "routes" | "plain") {
  const { get, url } = yield* Program.start("report/server.ts", kind)
  return { url, usage: get(Usage.path, Usage.Usage), memory: get(Usage.memoryPath, Usage.Memory) }
})

/** Connects so many agents. The servers take any token for that of an agent of its own. */
const connect = (url: string, connections: number, protocol?: Fleet.Protocol) =>
  Fleet.connect(
    url,
    Workload.roll(Workload.agents(connections)).map((report, index) => ({
      report,
      token: String(index).padStart(43, "0")
    })),
    protocol
  )

/** A server, and agents that are connected to it. */
const start = Effect.fnUntraced(function* (kind: "routes" | "plain", connections: number, protocol?: Fleet.Protocol) {
  const server = yield* serve(kind)
  return { ...server, fleet: yield* connect(server.url, connections, protocol) }
})

/** The outcome of some work of the fleet, and its cost for the server. */
const observe = Effect.fnUntraced(function* (
  { fleet, usage }: { readonly fleet: Fleet.Fleet; readonly usage: Effect.Effect<Usage.Usage, unknown> },
  work: (fleet: Fleet.Fleet) => Effect.Effect<Fleet.Outcome, Fleet.FleetError>
) {
  const before = yield* usage
  const outcome = yield* work(fleet)
  const after = yield* usage
  const cpuMillis = after.cpuMillis - before.cpuMillis
  const dropped = after.dropped - before.dropped
  const taken = after.accepted - before.accepted + dropped
  if (taken !== outcome.reports * Workload.keysPerReport) {
    return yield* new ServerError({
      detail: `${outcome.reports} reports were answered, but ${taken} entries were taken`
    })
  }
  return { ...outcome, cpuMillis, dropped }
})

/** A contestant: a server, and how its agents speak to it. */
interface Server {
  readonly name: string
  readonly kind: "routes" | "plain"
  readonly protocol?: Fleet.Protocol
  readonly remark?: string
  readonly server: Effect.Success<ReturnType<typeof start>>
}

type Observation = Effect.Success<ReturnType<typeof observe>>

export const report: Table.Part = {
  name: "report",
  description: "reports over WebSockets into the batcher, whose store does nothing",
  tables: Effect.fnUntraced(function* (scale) {
    const { connections, many, pace, perSecond, press } = scales[scale]
    const services = yield* Effect.context<ChildProcessSpawner.ChildProcessSpawner>()
    const [routes, plain, original] = yield* Effect.all(
      [start("routes", connections), start("plain", connections), start("routes", connections, "original")],
      { concurrency: "unbounded" }
    )
    const servers = [
      { name: "routes of the service", kind: "routes", server: routes },
      {
        name: "ws, JSON.parse and the schema",
        kind: "plain",
        remark: "limit: no routes, tokens, calls; same schema, same rules for entries, same batcher",
        server: plain
      },
      {
        name: "routes, in the original's protocol",
        kind: "routes",
        protocol: "original",
        remark: "dRPC over yamux, with the messages of a stock agent: six for each report, and one in return",
        server: original
      }
    ] as const satisfies ReadonlyArray<Server>
    const contestants = <Column extends string>(
      work: (fleet: Fleet.Fleet) => Effect.Effect<Fleet.Outcome, Fleet.FleetError>,
      figures: (observation: Observation) => Table.Figures<Column>
    ) =>
      servers.map(({ kind: _, protocol: __, server, ...contestant }: Server) => ({
        ...contestant,
        round: Effect.map(observe(server, work), figures)
      }))
    const notes = [
      `${connections} agents report 10 keys a time over bare WebSockets (ws) from this process; the server has a process of`,
      "its own, and what this one leaves of the machine."
    ]
    const reference = servers[0]!.name

    return [
      Table.make({
        name: "press",
        title: "as many reports as are answered, one under way per agent",
        notes,
        columns: { "reports/s": 0, "server CPU us/report": 1, "p50 ms": 1, "p99 ms": 1, dropped: 0 },
        reference,
        contestants: contestants(
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
        contestants: contestants(
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
        contestants: servers.map(({ kind, protocol, server, ...contestant }: Server) => ({
          ...contestant,
          round: Effect.gen(function* () {
            const { memory, url, usage } = scale === "full" ? yield* serve(kind) : server
            const before = yield* memory
            const fleet = yield* connect(url, many, protocol)
            yield* fleet.pace(many, "1 second")
            const after = yield* memory
            const { cpuMillis, dropped, millis, quantile } = yield* observe({ fleet, usage }, (fleet) =>
              fleet.pace(perSecond, pace)
            )
            return {
              "KB/connection": (after.residentBytes - before.residentBytes) / many / 1e3,
              "heap KB/connection": (after.heapBytes - before.heapBytes) / many / 1e3,
              "RSS MB": after.residentBytes / 1e6,
              "p50 ms": quantile(0.5),
              "p99 ms": quantile(0.99),
              "server CPU %": (cpuMillis / millis) * 100,
              dropped
            }
          }).pipe(Effect.scoped, Effect.provideContext(services))
        }))
      })
    ]
  })
}
