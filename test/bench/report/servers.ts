/** Servers of reports in processes of their own, and the cost of what their agents do. */
import { Data, type Duration, Effect } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import * as Fleet from "../Fleet.ts"
import * as Program from "../Program.ts"
import type * as Table from "../Table.ts"
import * as Workload from "../Workload.ts"
import * as Usage from "./Usage.ts"

class ServerError extends Data.TaggedError("ServerError")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

/** The server of `server.ts`, or a program that is built: its path. */
export type Kind = "routes" | "plain" | "frames" | { readonly program: string }

/** A contestant: a server, and how its agents speak to it. */
export interface Server {
  readonly name: string
  readonly kind: Kind
  readonly protocol: Fleet.Protocol
  readonly remark?: string | undefined
}

/** A server that agents are connected to. */
interface Started extends Server {
  readonly fleet: Fleet.Fleet
  readonly usage: Effect.Effect<Usage.Usage, unknown>
}

const serve = Effect.fnUntraced(function* (kind: Kind) {
  const { get, url } = yield* typeof kind === "string"
    ? Program.start("report/server.ts", kind)
    : Program.run(kind.program)
  return { url, usage: get(Usage.path, Usage.Usage), memory: get(Usage.memoryPath, Usage.Memory) }
})

/** Connects so many agents. The servers take any token for that of an agent of its own. */
const connect = (url: string, connections: number, protocol: Fleet.Protocol) =>
  Fleet.connect(
    url,
    Workload.roll(Workload.agents(connections)).map((report, index) => ({
      report,
      token: String(index).padStart(43, "0")
    })),
    protocol
  )

/** Starts each server, with so many agents. */
export const start = (servers: ReadonlyArray<Server>, connections: number) =>
  Effect.forEach(
    servers,
    Effect.fnUntraced(function* (server) {
      const { url, usage } = yield* serve(server.kind)
      const started: Started = { ...server, usage, fleet: yield* connect(url, connections, server.protocol) }
      return started
    }),
    { concurrency: "unbounded" }
  )

type Work = (fleet: Fleet.Fleet) => Effect.Effect<Fleet.Outcome, Fleet.FleetError>

/** The outcome of some work of the fleet, and its cost for the server. */
const observe = Effect.fnUntraced(function* ({ fleet, usage }: Pick<Started, "fleet" | "usage">, work: Work) {
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

type Observation = Effect.Success<ReturnType<typeof observe>>

/** The servers as contestants, whose agents do this work. */
export const contestants = <Column extends string>(
  started: ReadonlyArray<Started>,
  work: Work,
  figures: (observation: Observation) => Table.Figures<Column>
): ReadonlyArray<Table.Contestant<Column>> =>
  started.map(({ fleet, name, remark, usage }) => ({
    name,
    remark,
    round: Effect.map(observe({ fleet, usage }, work), figures)
  }))

/** A server and its agents in each round, from nothing, and what they have cost. */
export const fresh = Effect.fnUntraced(function* <Column extends string>(
  servers: ReadonlyArray<Server>,
  connections: number,
  work: Work,
  figures: (
    observation: Observation,
    memory: Usage.Memory & { readonly perConnection: Usage.Memory }
  ) => Table.Figures<Column>,
  rest: Duration.Input = 0
) {
  const services = yield* Effect.context<ChildProcessSpawner.ChildProcessSpawner>()
  return servers.map(({ kind, name, protocol, remark }): Table.Contestant<Column> => ({
    name,
    remark,
    round: Effect.gen(function* () {
      const { memory, url, usage } = yield* serve(kind)
      const before = yield* memory
      const fleet = yield* connect(url, connections, protocol)
      yield* fleet.pace(connections, "1 second")
      const after = yield* memory
      const perConnection = {
        residentBytes: (after.residentBytes - before.residentBytes) / connections,
        heapBytes: (after.heapBytes - before.heapBytes) / connections
      }
      yield* fleet.idle(rest)
      return figures(yield* observe({ fleet, usage }, work), { ...after, perConnection })
    }).pipe(Effect.scoped, Effect.provideContext(services))
  }))
})
