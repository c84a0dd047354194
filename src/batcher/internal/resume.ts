/** Callers that wait for a batcher. */
import { Context, Effect, Scheduler } from "effect"

export type Resume = <A, E>(
  register: (resume: (result: Effect.Effect<A, E>) => void) => Effect.Effect<void> | void
) => Effect.Effect<A, E>

/**
 * `Effect.callback` that goes on with a caller who has waited in a turn of the event loop of its own: it may call the
 * batcher again, which is in the middle of something when it knows the result.
 */
export const makeResume = (context: Context.Context<never>): Resume => {
  const dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
  return <A, E>(register: (resume: (result: Effect.Effect<A, E>) => void) => Effect.Effect<void> | void) =>
    Effect.callback<A, E>((resume) => {
      let isRegistering = true
      const cleanup = register((result) => {
        if (isRegistering) resume(result)
        else dispatcher.scheduleTask(() => resume(result), 0)
      })
      isRegistering = false
      return cleanup
    })
}
