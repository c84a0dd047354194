/** The port that reads the settings that administrators have made for the deployment. */
import { Context, type Effect, Schema } from "effect"
import type { StoreError } from "../../domain/StoreError.ts"

/** An announcement to all users. */
export const Banner = Schema.Struct({
  enabled: Schema.Boolean,
  message: Schema.String,
  /** As `#00ff7f`, or empty. */
  background_color: Schema.String.check(Schema.isPattern(/^(#[\da-f]{6})?$/i, { expected: "a colour, as #00ff7f" }))
})
export type Banner = typeof Banner.Type

/** The relays of the network, in the field names of the network's own software. */
export const DerpMap = Schema.Record(Schema.String, Schema.Json)
export type DerpMap = typeof DerpMap.Type

/**
 * The relays of the manifest, where the deployment has a network. Default: none, and the manifest has the relays that the
 * administrators have set.
 */
export const Relays = Context.Reference<Effect.Effect<DerpMap> | undefined>(
  "metadata-batcher/agentapi/ports/SiteConfigs/Relays",
  { defaultValue: () => undefined }
)

export class SiteConfigs extends Context.Service<
  SiteConfigs,
  {
    /** Empty if nothing was set. */
    readonly announcementBanners: Effect.Effect<ReadonlyArray<Banner>, StoreError>
    /** Empty if nothing was set. */
    readonly derpMap: Effect.Effect<DerpMap, StoreError>
  }
>()("metadata-batcher/agentapi/ports/SiteConfigs") {}
