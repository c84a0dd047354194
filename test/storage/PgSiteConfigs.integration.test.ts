import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { SiteConfigs } from "../../src/agentapi/ports/SiteConfigs.ts"
import * as PgSiteConfigs from "../../src/storage/PgSiteConfigs.ts"
import * as Postgres from "../support/Postgres.ts"

const environment = PgSiteConfigs.layer.pipe(Layer.provideMerge(Postgres.layer), Layer.provideMerge(Reactivity.layer))

const set = Effect.fnUntraced(function* (key: string, value: unknown) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO site_configs (key, value) VALUES (${key}, ${JSON.stringify(value)}::jsonb)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value`
})

layer(environment, { excludeTestServices: true, concurrent: false })("PgSiteConfigs", (it) => {
  it.effect("has no banners and no relays where nothing was set [MF-07]", () =>
    Effect.gen(function* () {
      const configs = yield* SiteConfigs
      yield* SqlClient.SqlClient.use((sql) => sql`DELETE FROM site_configs`)

      assert.deepStrictEqual(yield* configs.announcementBanners, [])
      assert.deepStrictEqual(yield* configs.derpMap, {})
    })
  )

  it.effect("returns the setting as it is at the time of the call [MF-07]", () =>
    Effect.gen(function* () {
      const configs = yield* SiteConfigs
      const banners = [
        { enabled: true, message: "Maintenance at noon", background_color: "#00FF7f" },
        { enabled: false, message: "", background_color: "" }
      ]
      const derpMap = { Regions: { 1: { RegionID: 1, Nodes: [{ Name: "1a", STUNPort: -1 }] } } }

      yield* set("announcement_banners", banners)
      yield* set("derp_map", derpMap)
      assert.deepStrictEqual(yield* configs.announcementBanners, banners)
      assert.deepStrictEqual(yield* configs.derpMap, derpMap)

      yield* set("announcement_banners", [])
      assert.deepStrictEqual(yield* configs.announcementBanners, [])
    })
  )

  it.effect("fails for a setting with a malformed value [MF-07]", () =>
    Effect.gen(function* () {
      const configs = yield* SiteConfigs

      for (const bad of [
        { enabled: true },
        [{ enabled: true, message: "Hello" }],
        [{ enabled: true, message: "Hello", background_color: "red" }]
      ]) {
        yield* set("announcement_banners", bad)
        const error = yield* Effect.flip(configs.announcementBanners)
        assert.strictEqual(error.message, "cannot read the setting announcement_banners")
      }
      yield* set("derp_map", [])
      assert.strictEqual((yield* Effect.flip(configs.derpMap)).message, "cannot read the setting derp_map")
    })
  )
})
