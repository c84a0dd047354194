/**
 * The write path: what the database and its client need for a batch, and what batching saves.
 */
import { Array, DateTime, Effect, Layer, Random, Result } from "effect"
import { SqlClient } from "effect/sql"
import * as AgentIdChunks from "../../src/batcher/AgentIdChunks.ts"
import * as MetadataBatcher from "../../src/batcher/MetadataBatcher.ts"
import { MetadataStore } from "../../src/batcher/MetadataStore.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { MetadataRow } from "../../src/domain/Metadata.ts"
import { PubSub } from "../../src/pubsub/PubSub.ts"
import * as Meter from "./Meter.ts"
import * as Table from "./Table.ts"
import * as Workload from "./Workload.ts"
import * as Database from "./write/Database.ts"
import * as Pgbench from "./write/Pgbench.ts"

const scales = {
  full: { agentCount: 10_000, sizes: [100, 500, 2_000], distinctRows: 60_000, rowsPerRound: 20_000, flush: 500 },
  smoke: { agentCount: 20, sizes: [20, 100, 200], distinctRows: 200, rowsPerRound: 200, flush: 20 }
}

/** Goes round a list: answers the next so many elements, and where they begin. */
const circle = <A>(all: ReadonlyArray<A>) => {
  let next = 0
  return (count: number) => {
    const first = next
    next = (next + count) % all.length
    return { first, elements: Array.makeBy(count, (index) => all[(first + index) % all.length]!) }
  }
}

const tables = Effect.fnUntraced(function* (scale: Table.Scale) {
  const { distinctRows, flush, rowsPerRound, sizes } = scales[scale]
  const sql = yield* SqlClient.SqlClient
  const store = yield* MetadataStore
  const pubsub = yield* PubSub
  const [server] = yield* sql<{ version: string }>`SELECT current_setting('server_version') AS version`

  // the rows of a batch are not neighbours in the database
  const agents = yield* Random.shuffle(yield* Database.Agents).pipe(Random.withSeed("agents"))
  const rows = Workload.roll(agents).flatMap(Workload.rowsOf).slice(0, distinctRows)
  const batches = new Map(sizes.map((size) => [size, Array.chunksOf(rows, size)]))
  const pgbench = yield* Effect.result(Pgbench.version)
  const runPgbench = Result.isSuccess(pgbench) ? yield* Pgbench.make(batches) : undefined

  const sizeTable = (size: number, all: ReadonlyArray<ReadonlyArray<MetadataRow>>) => {
    const count = rowsPerRound / size
    const [nextOfStore, nextOfPgbench] = [circle(all), circle(all)]
    return Table.make({
      name: `batches of ${size}`,
      title: `batches of ${size}`,
      notes: [
        `Postgres ${server!.version} as the service embeds it, ${agents.length * Workload.keysPerAgent} rows; a round writes`,
        `${rowsPerRound} rows in batches, one after the other. Every row is found and changed.`
      ],
      columns: { "ms/batch": 2, "rows/s": 0, "client CPU us/row": 2 },
      reference: "PgMetadataStore",
      contestants: [
        {
          name: "PgMetadataStore",
          round: Effect.map(
            Effect.suspend(() => Meter.read(Effect.forEach(nextOfStore(count).elements, store.updateBatch))),
            ({ cpuMillis, millis }) => ({
              "ms/batch": millis / count,
              "rows/s": (rowsPerRound / millis) * 1_000,
              "client CPU us/row": (cpuMillis * 1_000) / rowsPerRound
            })
          )
        },
        {
          name: "pgbench",
          remark: "limit: the same statement; its batches are sorted and in text already",
          ...(runPgbench === undefined
            ? { skipped: "there is no pgbench on the path" }
            : {
                round: Effect.map(
                  Effect.suspend(() => runPgbench(size, nextOfPgbench(count).first, count)),
                  (millis) => ({ "ms/batch": millis, "rows/s": (size / millis) * 1_000 })
                )
              })
        }
      ]
    })
  }

  const announce = (agents: ReadonlyArray<AgentId>) =>
    Effect.forEach(AgentIdChunks.encode(agents), (chunk) => pubsub.publish(MetadataBatcher.channel, chunk))

  /** What the original published before it batched. */
  const announceKeys = (rows: ReadonlyArray<MetadataRow>) =>
    pubsub.publish(
      `workspace_agent_metadata:${rows[0]!.agentId}`,
      JSON.stringify({ collected_at: DateTime.formatIso(rows[0]!.collectedAt), keys: rows.map(({ key }) => key) })
    )

  const writeOne = ({ agentId, collectedAt, error, key, value }: MetadataRow) => sql`
    UPDATE workspace_agent_metadata
    SET value = ${value}, error = ${error}, collected_at = ${DateTime.toDateUtc(collectedAt)}
    WHERE workspace_agent_id = ${agentId} AND key = ${key}`

  /** Writes rows in pieces, each of which is two statements, and that so often. */
  const inPieces = (
    name: string,
    options: { readonly size: number; readonly times: number; readonly concurrency?: number; readonly remark?: string },
    write: (rows: ReadonlyArray<MetadataRow>) => Effect.Effect<unknown, unknown>
  ): Table.Contestant<"ms" | "statements" | "rows/s" | "client CPU us/row"> => {
    const { concurrency = 1, remark, size, times } = options
    const next = circle(Array.chunksOf(rows, size))
    const count = (flush / size) * times
    return {
      name,
      remark,
      round: Effect.map(
        Effect.suspend(() => Meter.read(Effect.forEach(next(count).elements, write, { concurrency, discard: true }))),
        ({ cpuMillis, millis }) => ({
          ms: millis / times,
          statements: (2 * count) / times,
          "rows/s": (flush * times * 1_000) / millis,
          "client CPU us/row": (cpuMillis * 1_000) / (flush * times)
        })
      )
    }
  }
  const writeKey = (rows: ReadonlyArray<MetadataRow>) => Effect.andThen(writeOne(rows[0]!), announceKeys(rows))

  return [
    ...Array.map([...batches], ([size, all]) => sizeTable(size, all)),
    Table.make({
      name: "pieces",
      title: `${flush} updates of ${flush / Workload.keysPerReport} agents, written and announced`,
      notes: ["Each piece is a statement that updates and one that notifies."],
      columns: { ms: 1, statements: 0, "rows/s": 0, "client CPU us/row": 1 },
      reference: "in one batch",
      contestants: [
        inPieces("in one batch", { size: flush, times: 20 }, (rows) =>
          Effect.flatMap(store.updateBatch(rows), announce)
        ),
        inPieces(
          "report by report",
          { size: Workload.keysPerReport, times: 4, remark: "what the original did before it batched" },
          (rows) => Effect.andThen(store.updateBatch(rows), announceKeys(rows))
        ),
        inPieces("key by key", { size: 1, times: 1 }, writeKey),
        inPieces("key by key, 8 at once", { size: 1, times: 1, concurrency: 8 }, writeKey)
      ]
    })
  ]
})

export const write: Table.Part = {
  name: "write",
  description: "batches into Postgres",
  tables: (scale) =>
    Effect.flatMap(Layer.build(Database.layer(scales[scale].agentCount)), (services) =>
      Effect.provideContext(tables(scale), services)
    )
}
