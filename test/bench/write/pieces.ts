/** The same updates written in one batch, report by report and key by key: what batching saves. */
import { DateTime, Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as AgentIdChunks from "../../../src/metadata/AgentIdChunks.ts"
import * as MetadataBatcher from "../../../src/metadata/MetadataBatcher.ts"
import { MetadataStore } from "../../../src/metadata/MetadataStore.ts"
import type { AgentId } from "../../../src/domain/Ids.ts"
import type { MetadataRow } from "../../../src/domain/Metadata.ts"
import { PubSub } from "../../../src/pubsub/PubSub.ts"
import type * as Postgres from "../Postgres.ts"
import * as Table from "../Table.ts"
import * as Workload from "../Workload.ts"
import * as Circle from "./Circle.ts"
import * as Database from "./Database.ts"

type Columns = "ms" | "UPDATEs" | "NOTIFYs" | "rows/s" | "client CPU us/row" | "server CPU us/row"

export const table = Effect.fnUntraced(function* (rows: ReadonlyArray<MetadataRow>, updates: number) {
  const sql = yield* SqlClient.SqlClient
  const store = yield* MetadataStore
  const pubsub = yield* PubSub
  const services = yield* Effect.context<Effect.Services<typeof Postgres.cpuMillis>>()

  const counts = { UPDATEs: 0, NOTIFYs: 0 }
  const counted = <A, E>(name: keyof typeof counts, statement: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      counts[name]++
      return statement
    })
  const publish = (channel: string, payload: string) => counted("NOTIFYs", pubsub.publish(channel, payload))
  const updateBatch = (rows: ReadonlyArray<MetadataRow>) => counted("UPDATEs", store.updateBatch(rows))
  const updateRow = ({ agentId, collectedAt, error, key, value }: MetadataRow) =>
    counted(
      "UPDATEs",
      sql`
        UPDATE workspace_agent_metadata
        SET value = ${value}, error = ${error}, collected_at = ${DateTime.toDateUtc(collectedAt)}
        WHERE workspace_agent_id = ${agentId} AND key = ${key}`
    )

  const announce = (agents: ReadonlyArray<AgentId>) =>
    Effect.forEach(AgentIdChunks.encode(agents), (chunk) => publish(MetadataBatcher.channel, chunk))

  /** Announces as the original did before it batched. */
  const announceKeys = (rows: ReadonlyArray<MetadataRow>) =>
    publish(
      `workspace_agent_metadata:${rows[0]!.agentId}`,
      JSON.stringify({ collected_at: DateTime.formatIso(rows[0]!.collectedAt), keys: rows.map(({ key }) => key) })
    )
  const writeKey = (rows: ReadonlyArray<MetadataRow>) => Effect.andThen(updateRow(rows[0]!), announceKeys(rows))

  /** Writes the updates in pieces of a size, so often. */
  const inPieces = (
    name: string,
    options: { readonly size: number; readonly times: number; readonly concurrency?: number; readonly remark?: string },
    write: (rows: ReadonlyArray<MetadataRow>) => Effect.Effect<unknown, unknown>
  ): Table.Contestant<Columns> => {
    const { concurrency = 1, remark, size, times } = options
    const next = Circle.make(Workload.chunksOf(rows, size))
    return {
      name,
      remark,
      round: Effect.suspend(() => {
        const before = { ...counts }
        const { elements } = next((updates / size) * times)
        return Effect.map(
          Database.read(updates * times, Effect.forEach(elements, write, { concurrency, discard: true })),
          ({ millis, ...figures }) => ({
            ms: millis / times,
            UPDATEs: (counts.UPDATEs - before.UPDATEs) / times,
            NOTIFYs: (counts.NOTIFYs - before.NOTIFYs) / times,
            ...figures
          })
        )
      }).pipe(Effect.provideContext(services))
    }
  }

  return Table.make({
    name: "pieces",
    title: `${updates} updates of ${updates / Workload.keysPerReport} agents, written and announced`,
    notes: ["An UPDATE, then a NOTIFY, for all of them, for each report, or for each key."],
    columns: { ms: 1, UPDATEs: 0, NOTIFYs: 0, "rows/s": 0, "client CPU us/row": 1, "server CPU us/row": 1 },
    reference: "in one batch",
    contestants: [
      inPieces("in one batch", { size: updates, times: 20 }, (rows) => Effect.flatMap(updateBatch(rows), announce)),
      inPieces(
        "report by report",
        { size: Workload.keysPerReport, times: 4, remark: "as the original before it batched" },
        (rows) => Effect.andThen(updateBatch(rows), announceKeys(rows))
      ),
      inPieces("key by key", { size: 1, times: 1 }, writeKey),
      inPieces("key by key, 8 at once", { size: 1, times: 1, concurrency: 8 }, writeKey)
    ]
  })
})
