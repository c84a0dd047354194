/** A report that has begun before the server of the calls heard of it, and stands in the place of its request. */
import type { Effect } from "effect"
import type { MetadataKeysTooLong } from "../calls/Metadata.ts"

export class Begun {
  /** Waits for its end; interrupts it when interrupted. */
  readonly outcome: Effect.Effect<{}, MetadataKeysTooLong>

  constructor(outcome: Effect.Effect<{}, MetadataKeysTooLong>) {
    this.outcome = outcome
  }
}
