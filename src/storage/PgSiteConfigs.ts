/**
 * Reads the administrators' settings from Postgres. A malformed value is an error that names the setting.
 *
 * Reads of a setting at the same time are one statement, because every agent reads the same ones.
 */
import { PgTypes } from "@effect/sql-pg"
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Banner, DerpMap, SiteConfigs } from "../agentapi/ports/SiteConfigs.ts"
import { coalescedRows } from "./internal/coalesced.ts"
import { array } from "./internal/column.ts"

export const layer: Layer.Layer<SiteConfigs, never, SqlClient.SqlClient> = Layer.effect(
  SiteConfigs,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const setting = Effect.fnUntraced(function* <A>(key: string, value: Schema.ConstraintDecoder<A>, fallback: A) {
      const rows = yield* coalescedRows(sql, {
        share: "calls",
        operation: `read the setting ${key}`,
        row: Schema.Struct({ value }),
        execute: (keys: ReadonlyArray<string>) => sql<{ ownerId: string }>`
          SELECT key AS "ownerId", value FROM site_configs
          WHERE key = ANY (${array(PgTypes.OID.text, keys)})`
      })
      return Effect.map(rows(key), ([row]) => row?.value ?? fallback)
    })

    return SiteConfigs.of({
      announcementBanners: yield* setting("announcement_banners", Schema.Array(Banner), []),
      derpMap: yield* setting("derp_map", DerpMap, {})
    })
  })
)
