/** The port that tells whether the service can do its work. */
import { Context, type Effect } from "effect"

export class Readiness extends Context.Service<
  Readiness,
  {
    /** Returns what keeps the service from its work, or `undefined`. */
    readonly problem: Effect.Effect<string | undefined>
  }
>()("metadata-batcher/operations/Readiness") {}

/**
 * Whether everything exists that calls need, the administrator for example, and whether the service is about to stop. The
 * service is not ready before the one and after the other. The process that runs the service changes them.
 */
export const Startup = Context.Reference<{ isComplete: boolean; isDraining: boolean }>(
  "metadata-batcher/operations/Startup",
  { defaultValue: () => ({ isComplete: true, isDraining: false }) }
)
