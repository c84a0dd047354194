/**
 * `GetAnnouncementBanners` and `GetServiceBanner`: return the banners that administrators have set for all users.
 *
 * - `GetAnnouncementBanners` returns all banners as they are set, including disabled ones.
 * - `GetServiceBanner` is for older agents, which know a single banner: it returns the first enabled banner, or a
 *   disabled and empty one.
 */
import { Effect, Schema } from "effect"
import { Rpc } from "effect/rpc"
import { unavailable, Unavailable } from "../AgentError.ts"
import { Banner, SiteConfigs } from "../ports/SiteConfigs.ts"

export const GetAnnouncementBanners = Rpc.make("GetAnnouncementBanners", {
  payload: Schema.Struct({}),
  success: Schema.Struct({ announcement_banners: Schema.Array(Banner) }),
  error: Unavailable
})

export const GetServiceBanner = Rpc.make("GetServiceBanner", {
  payload: Schema.Struct({}),
  success: Banner,
  error: Unavailable
})

const noBanner: Banner = { enabled: false, message: "", background_color: "" }

export const make = SiteConfigs.useSync((configs) => {
  const banners = Effect.catchTag(configs.announcementBanners, "StoreError", unavailable)
  return {
    GetAnnouncementBanners: () => Effect.map(banners, (announcement_banners) => ({ announcement_banners })),
    GetServiceBanner: () => Effect.map(banners, (banners) => banners.find(({ enabled }) => enabled) ?? noBanner)
  }
})
