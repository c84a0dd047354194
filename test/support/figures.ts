import { Effect, Queue } from "effect"
import type * as Fleet from "../../src/fleet/Fleet.ts"

/** Figures of a fleet that tell of each change, so that a test can wait for what it wants to see. */
export const watched = Effect.map(Queue.unbounded<void>(), (changes) => {
  const figures: Fleet.Figures = new Proxy(
    { connected: 0, reports: 0, errors: 0 },
    {
      set: (target, name, value) => {
        Queue.offerUnsafe(changes, undefined)
        return Reflect.set(target, name, value)
      }
    }
  )
  const until = (isSo: (figures: Fleet.Figures) => boolean): Effect.Effect<void> =>
    Effect.suspend(() => (isSo(figures) ? Effect.void : Effect.andThen(Queue.take(changes), until(isSo))))
  return { figures, until }
})
