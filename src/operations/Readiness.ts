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
 * Whether everything exists that calls need, the administrator for example. The service is not ready before. The process
 * that starts the service changes it; elsewhere it is true.
 */
export const Startup = Context.Reference<{ isComplete: boolean }>("metadata-batcher/operations/Startup", {
  defaultValue: () => ({ isComplete: true })
})
