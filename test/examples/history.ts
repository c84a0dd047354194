/** The whole service with a store of our own: it keeps the newest values as always, and their history in a table of ours. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Context, DateTime, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { SqlClient } from "effect/sql"
import { type Metadata, MetadataStore } from "metadata-batcher"
import * as Administrator from "metadata-batcher/Administrator"
import * as Config from "metadata-batcher/Config"
import * as Fatal from "metadata-batcher/Fatal"
import * as PgMetadataStore from "metadata-batcher/PgMetadataStore"
import * as Server from "metadata-batcher/Server"

/** The history of values. A failed batch comes again, so a row that is there already must change nothing. */
export class History extends Context.Service<
  History,
  {
    readonly append: (
      rows: ReadonlyArray<Metadata.MetadataRow>
    ) => Effect.Effect<void, MetadataStore.MetadataStoreError>
  }
>()("app/History") {}

const layerTable = Layer.effect(
  History,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`
      CREATE TABLE IF NOT EXISTS metadata_history (
        agent_id uuid, key text, value text, collected_at timestamptz,
        PRIMARY KEY (agent_id, key, collected_at))`
    return {
      append: (rows) => {
        const values = rows.map((row) => ({ ...row, collectedAt: DateTime.formatIso(row.collectedAt) }))
        return sql`
          INSERT INTO metadata_history
          SELECT * FROM json_to_recordset(${JSON.stringify(values)}::json)
            AS row ("agentId" uuid, key text, value text, "collectedAt" timestamptz)
          ON CONFLICT DO NOTHING`.pipe(
          Effect.timeout("10 seconds"),
          Effect.mapError((cause) => new MetadataStore.MetadataStoreError({ reason: "unavailable", cause }))
        )
      }
    }
  })
)

/** A store that writes each batch to the history before the store beneath it has it. */
export const layerStore = Layer.effect(
  MetadataStore.MetadataStore,
  Effect.gen(function* () {
    const store = yield* MetadataStore.MetadataStore
    const { append } = yield* History
    return { ...store, updateBatch: (rows) => Effect.andThen(append(rows), store.updateBatch(rows)) }
  })
)

const metadataStore = Layer.provide(layerStore, [PgMetadataStore.layer(), layerTable])

const Application = Layer.unwrap(
  Effect.map(Config.read(), (settings) =>
    Layer.effectDiscard(Administrator.ensure(settings.adminToken)).pipe(
      Layer.provideMerge(Server.layer(settings, { metadataStore })),
      Layer.provide(HttpRouter.layer)
    )
  )
)

const program = Effect.gen(function* () {
  yield* HttpServer.addressFormattedWith((address) => Console.log(`listening at ${address}`))
  return yield* (yield* Fatal.Fatal).failure
})

if (import.meta.main) NodeRuntime.runMain(Effect.provide(program, Application))
