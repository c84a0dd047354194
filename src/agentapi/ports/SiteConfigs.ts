/** The port through which agents learn what the administrators of the deployment have set. */
import { Context, type Effect, Schema } from "effect"
import type { StoreError } from "../../domain/StoreError.ts"

/** Something that everybody is to read. */
export const Banner = Schema.Struct({
  enabled: Schema.Boolean,
  message: Schema.String,
  /** As `#00ff7f`, or empty. */
  background_color: Schema.String.check(Schema.isPattern(/^(#[\da-f]{6})?$/i, { expected: "a colour, as #00ff7f" }))
})
export type Banner = typeof Banner.Type

/** The relays of the network, by the words of the network's own software. */
export const DerpMap = Schema.Record(Schema.String, Schema.Json)
export type DerpMap = typeof DerpMap.Type

export class SiteConfigs extends Context.Service<
  SiteConfigs,
  {
    /** None where nothing was set. */
    readonly announcementBanners: Effect.Effect<ReadonlyArray<Banner>, StoreError>
    /** Empty where nothing was set. */
    readonly derpMap: Effect.Effect<DerpMap, StoreError>
  }
>()("metadata-batcher/agentapi/ports/SiteConfigs") {}
