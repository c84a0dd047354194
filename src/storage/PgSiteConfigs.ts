/** Reads the administrators' settings from Postgres. A malformed value is an error that names the setting. */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient, SqlSchema } from "effect/sql"
import { Banner, DerpMap, SiteConfigs } from "../agentapi/ports/SiteConfigs.ts"
import { storeOperation } from "./internal/storeOperation.ts"

export const layer: Layer.Layer<SiteConfigs, never, SqlClient.SqlClient> = Layer.effect(
  SiteConfigs,
  SqlClient.SqlClient.useSync((sql) => {
    const read = <A>(key: string, value: Schema.ConstraintDecoder<unknown> & { readonly Type: A }, fallback: A) =>
      SqlSchema.findOneOption({
        Request: Schema.String,
        Result: Schema.Struct({ value }),
        execute: (key) => sql`SELECT value FROM site_configs WHERE key = ${key}`
      })(key).pipe(
        Effect.map(Option.match({ onNone: () => fallback, onSome: ({ value }) => value })),
        storeOperation(sql, "calls", `read the setting ${key}`)
      )

    return SiteConfigs.of({
      announcementBanners: read("announcement_banners", Schema.Array(Banner), []),
      derpMap: read("derp_map", DerpMap, {})
    })
  })
)
