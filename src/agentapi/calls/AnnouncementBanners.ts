/**
 * `GetAnnouncementBanners` and `GetServiceBanner`: what the administrators want everybody to read.
 *
 * - All banners are answered as they are set, those too that are not enabled.
 * - An agent of the time when there was one banner gets the first that is enabled, or one that is not.
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
