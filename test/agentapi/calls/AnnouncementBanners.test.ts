/** `GetAnnouncementBanners` and `GetServiceBanner`, called as an agent calls them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as AnnouncementBanners from "../../../src/agentapi/calls/AnnouncementBanners.ts"
import { type Banner, SiteConfigs } from "../../../src/agentapi/ports/SiteConfigs.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"

const start = (announcementBanners: SiteConfigs["Service"]["announcementBanners"]) =>
  Effect.provide(AnnouncementBanners.make, Layer.mock(SiteConfigs)({ announcementBanners }))

const banner = (message: string, enabled = true): Banner => ({ enabled, message, background_color: "#00ff7f" })

const failing = Effect.fail(
  new StoreError({ operation: "read it", reason: "unavailable", cause: new Error("as the test wants it") })
)

describe("announcement banners", () => {
  it.effect("are all returned, in their order, and an error when they cannot be read [MF-07]", () =>
    Effect.gen(function* () {
      const banners = [banner("Maintenance at noon"), banner("Hello", false), banner("Welcome")]

      const { GetAnnouncementBanners } = yield* start(Effect.succeed(banners))
      assert.deepStrictEqual(yield* GetAnnouncementBanners(), { announcement_banners: banners })

      const none = yield* start(Effect.succeed([]))
      assert.deepStrictEqual(yield* none.GetAnnouncementBanners(), { announcement_banners: [] })

      const broken = yield* start(failing)
      assert.deepInclude(yield* Effect.flip(broken.GetAnnouncementBanners()), { _tag: "Unavailable" })
    })
  )

  it.effect("are the first that is enabled for an agent that knows but one [MF-08]", () =>
    Effect.gen(function* () {
      const answer = (...banners: ReadonlyArray<Banner>) =>
        Effect.flatMap(start(Effect.succeed(banners)), ({ GetServiceBanner }) => GetServiceBanner())
      const none = { enabled: false, message: "", background_color: "" }

      assert.deepStrictEqual(yield* answer(), none)
      assert.deepStrictEqual(yield* answer(banner("Old", false)), none)
      assert.deepStrictEqual(yield* answer(banner("Old", false), banner("Hello"), banner("Bye")), banner("Hello"))

      const broken = yield* start(failing)
      assert.deepInclude(yield* Effect.flip(broken.GetServiceBanner()), { _tag: "Unavailable" })
    })
  )
})
