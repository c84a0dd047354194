/** The port that tells whether the service can do its work. */
import { Context, type Effect } from "effect"

export class Readiness extends Context.Service<
  Readiness,
  {
    /** Why it cannot, or `undefined`. */
    readonly problem: Effect.Effect<string | undefined>
  }
>()("metadata-batcher/operations/Readiness") {}
