/** The port through which replicas share the keys that sign resume tokens. */
import { Context, type DateTime, type Effect } from "effect"
import type { StoreError } from "../domain/StoreError.ts"

export interface ResumeKey {
  /** A UUID. */
  readonly id: string
  readonly secret: Uint8Array
  /** From then on the key signs, until a newer one does. */
  readonly startsAt: DateTime.Utc
  /** From then on the key is worth nothing. */
  readonly endsAt: DateTime.Utc
}

export class ResumeKeyStore extends Context.Service<
  ResumeKeyStore,
  {
    /** The keys that have not ended at `now`. */
    readonly keys: (now: DateTime.Utc) => Effect.Effect<ReadonlyArray<ResumeKey>, StoreError>
    /** Adds a key, unless another replica has added one that starts after `since`; removes those that have ended. */
    readonly add: (key: ResumeKey, since: DateTime.Utc) => Effect.Effect<void, StoreError>
  }
>()("metadata-batcher/tailnet/ResumeKeyStore") {}
