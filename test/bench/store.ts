/** Where values are kept: the cost of a batch in Postgres, in Redis, and in a Redis cluster of three. */
import { Effect, Random, Redacted } from "effect"
import { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import * as RedisMetadataStore from "../../src/storage/RedisMetadataStore.ts"
import * as Brokers from "../support/brokers.ts"
import * as Programs from "../support/programs.ts"
import * as RedisCluster from "../support/redisCluster.ts"
import * as Meter from "./Meter.ts"
import * as Postgres from "./Postgres.ts"
import * as Processes from "./Processes.ts"
import * as Table from "./Table.ts"
import * as Workload from "./Workload.ts"
import * as Circle from "./write/Circle.ts"
import * as Database from "./write/Database.ts"

const scales = {
  full: { agents: 4_000, distinctRows: 40_000, rowsPerRound: 40_000 },
  smoke: { agents: 200, distinctRows: 2_000, rowsPerRound: 2_000 }
} as const

const sizes = [500, 2_000]

const overRedis = Effect.fnUntraced(function* (url: string, pids: ReadonlyArray<number>) {
  const store = yield* RedisMetadataStore.make({ url: Redacted.make(url) })
  return {
    store,
    cpuMillis: Effect.sync(() =>
      pids.reduce((total, pid) => total + (Processes.threadsCpuMillis(pid) ?? Number.NaN), 0)
    )
  }
})

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const { distinctRows, rowsPerRound } = scales[scale]
  const agents = yield* Random.shuffle(yield* Database.Agents).pipe(Random.withSeed("agents"))
  const rows = Workload.roll(agents).flatMap(Workload.rowsOf).slice(0, distinctRows)
  const services = yield* Effect.context<Effect.Services<typeof Postgres.cpuMillis>>()
  const postgres = { store: yield* MetadataStore, cpuMillis: Effect.provideContext(Postgres.cpuMillis, services) }
  const skipped = "there is no redis-server"
  const isThere = Programs.pathOf("redis-server") !== undefined
  const single = isThere ? yield* Brokers.start("redis") : undefined
  const cluster = isThere ? yield* RedisCluster.start() : undefined
  const stores = [
    { name: "PgMetadataStore", ...postgres },
    single === undefined
      ? { name: "RedisMetadataStore", skipped }
      : { name: "RedisMetadataStore", ...(yield* overRedis(single.url, [single.pid])) },
    cluster === undefined
      ? { name: "the same, a cluster of three", skipped }
      : {
          name: "the same, a cluster of three",
          ...(yield* overRedis(
            cluster.url,
            cluster.nodes.map(({ pid }) => pid)
          ))
        }
  ]

  return sizes.map((size) => {
    const batches = Workload.chunksOf(rows, size)
    return Table.make({
      name: `batches of ${size}`,
      title: `batches of ${size} into each store`,
      notes: [
        `A round writes ${rowsPerRound} rows of ${Workload.keysPerReport} for each agent, in batches one after the other.`,
        "Every row is found and changed. Server CPU is that of all processes of the servers."
      ],
      columns: { "rows/s": 0, "client CPU us/row": 2, "server CPU us/row": 2 },
      reference: "PgMetadataStore",
      contestants: stores.map((contestant) => {
        if (contestant.skipped !== undefined) return { name: contestant.name, skipped: contestant.skipped }
        const { cpuMillis, name, store } = contestant
        const next = Circle.make(batches)
        const write = Effect.suspend(() =>
          Effect.forEach(next(rowsPerRound / size).elements, (batch) => store.updateBatch(batch), { discard: true })
        )
        return {
          name,
          round: Effect.gen(function* () {
            const before = yield* cpuMillis
            const reading = yield* Meter.read(write)
            return {
              "rows/s": (rowsPerRound / reading.millis) * 1_000,
              "client CPU us/row": (reading.cpuMillis * 1_000) / rowsPerRound,
              ...Database.serverCpu(before, yield* cpuMillis, rowsPerRound)
            }
          })
        }
      })
    })
  })
})

export const store: Table.Part = {
  name: "store",
  description: "batches into Postgres and into Redis",
  tables: (scale) => Database.over(scales[scale].agents, tables(scale))
}
