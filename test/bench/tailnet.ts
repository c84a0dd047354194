/**
 * The tailnet: what the update of a node costs from its peer to its partners, in one process and across two.
 */
import { Data, Effect, Layer, Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { EmbeddedPostgres } from "../../src/postgres/EmbeddedPostgres.ts"
import { quantile } from "./Fleet.ts"
import * as Postgres from "./Postgres.ts"
import * as Program from "./Program.ts"
import * as Service from "./Service.ts"
import * as Table from "./Table.ts"
import * as Protocol from "./tailnet/Protocol.ts"

const scales = {
  full: { agents: 10_000, clients: 1_000, tunnelsPerClient: 10, perSecond: 1_000, millis: 5_000 },
  smoke: { agents: 20, clients: 2, tunnelsPerClient: 10, perSecond: 100, millis: 100 }
} as const

class NotTold extends Data.TaggedError("NotTold")<{ readonly told: number; readonly expected: number }> {
  override get message() {
    return `peers were told ${this.told} nodes instead of ${this.expected}`
  }
}

/** A process with its part of the peers. */
const start = Effect.fnUntraced(function* (settings: Protocol.Settings) {
  const { get } = yield* Program.start("tailnet/replica.ts", JSON.stringify(settings))
  return {
    state: get(Protocol.statePath, Protocol.State),
    pace: (perSecond: number, millis: number) =>
      get(`${Protocol.pacePath}?perSecond=${perSecond}&millis=${millis}`, Protocol.Outcome)
  }
})

/** So many replicas, whose peers have all learned of their partners. */
const startAll = Effect.fnUntraced(function* (
  work: Omit<Protocol.Settings, "replica" | "replicas" | "databaseUrl">,
  replicas: number,
  databaseUrl?: string
) {
  const processes = yield* Effect.forEach(
    Array.from({ length: replicas }),
    (_, replica) => start({ ...work, replica, replicas, ...(databaseUrl === undefined ? {} : { databaseUrl }) }),
    { concurrency: "unbounded" }
  )
  const states = Effect.forEach(processes, ({ state }) => state)
  const expected = 2 * work.clients * work.tunnelsPerClient
  const settled = yield* Effect.repeat(states, {
    until: (states) => states.reduce((sum, { told }) => sum + told, 0) >= expected,
    schedule: Schedule.upTo(Schedule.spaced("500 millis"), { times: 120 })
  })
  const told = settled.reduce((sum, { told }) => sum + told, 0)
  if (told < expected) return yield* new NotTold({ told, expected })
  return { processes, bytesPerPeer: Math.max(...settled.map(({ bytesPerPeer }) => bytesPerPeer)) }
})

/** Processor time and statements of the database so far. */
const database = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [statistics] = yield* sql<{ committed: number }>`
    SELECT xact_commit::float8 AS committed FROM pg_stat_database WHERE datname = current_database()`
  return { cpuMillis: (yield* Postgres.cpuMillis) ?? Number.NaN, statements: statistics!.committed }
})

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const { millis, perSecond, ...work } = scales[scale]
  const { agents, clients, tunnelsPerClient } = work
  const services = yield* Effect.context<EmbeddedPostgres | SqlClient.SqlClient>()
  const { url } = yield* EmbeddedPostgres

  const round = Effect.fnUntraced(function* ({ bytesPerPeer, processes }: Effect.Success<ReturnType<typeof startAll>>) {
    const before = yield* database
    const outcomes = yield* Effect.forEach(processes, ({ pace }) => pace(perSecond / processes.length, millis), {
      concurrency: "unbounded"
    })
    const after = yield* database
    const updates = outcomes.reduce((sum, outcome) => sum + outcome.updates, 0)
    const latencies = outcomes.flatMap((outcome) => outcome.latencies).toSorted((one, other) => one - other)
    const took = Math.max(...outcomes.map((outcome) => outcome.millis))
    return {
      "updates/s": (updates * 1_000) / took,
      "told/s": (latencies.length * 1_000) / took,
      "p50 ms": quantile(latencies, 0.5),
      "p99 ms": quantile(latencies, 0.99),
      "CPU % of a replica": Math.max(...outcomes.map((outcome) => (outcome.cpuMillis * 100) / outcome.millis)),
      "CPU us/update": (outcomes.reduce((sum, { cpuMillis }) => sum + cpuMillis, 0) * 1_000) / updates,
      "Postgres CPU %": processes.length === 1 ? 0 : ((after.cpuMillis - before.cpuMillis) * 100) / took,
      "KB/peer": bytesPerPeer / 1_024,
      "statements/update": processes.length === 1 ? 0 : (after.statements - before.statements) / updates
    }
  }, Effect.provideContext(services))

  const memory = yield* startAll(work, 1)
  const replicated = yield* startAll(work, 2, Redacted.value(url))
  return [
    Table.make({
      name: "updates",
      title: `${perSecond} updates of nodes a second, of ${agents} agents and ${clients} clients with ${tunnelsPerClient} tunnels each`,
      notes: [
        "Peers live in the processes of the coordinators and speak to them by encoded messages, without sockets: those are the",
        "part report. Their own work counts with the CPU. Across two replicas every tunnel leads to the other one. KB/peer is",
        "heap, of a peer with its tunnels and its partners' nodes."
      ],
      columns: {
        "updates/s": 0,
        "told/s": 0,
        "p50 ms": 2,
        "p99 ms": 2,
        "CPU % of a replica": 1,
        "CPU us/update": 1,
        "Postgres CPU %": 1,
        "KB/peer": 1,
        "statements/update": 3
      },
      warmsUp: false,
      contestants: [
        { name: "in memory", round: round(memory) },
        { name: "two replicas over Postgres", round: round(replicated) }
      ]
    })
  ]
})

export const tailnet: Table.Part = {
  name: "tailnet",
  description: "coordination of peers, in memory and across replicas",
  tables: (scale) =>
    Effect.flatMap(Layer.build(Service.layer), (services) => Effect.provideContext(tables(scale), services))
}
