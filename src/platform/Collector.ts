/**
 * Collects items from plain functions and hands them to an effect, so that an item costs no fiber.
 *
 * - The effect runs in one fiber at a time, which begins in the turn after an item was added and ends when none waits.
 * - It gets all items that wait. Items that are added while it runs are for its next run.
 * - An effect that fails with a defect is logged, and the next run begins.
 * - No scope ends the fiber: items that were added are handled while the service stops, too.
 */
import { Effect } from "effect"

export interface Collector<A> {
  readonly addUnsafe: (item: A) => void
  /** Removes an item that was not handed over yet. */
  readonly removeUnsafe: (item: A) => void
}

/** Makes a collector that runs `before` and then hands over the items that wait by then. */
export const make = <A>(
  handle: (items: ReadonlyArray<A>) => Effect.Effect<void>,
  before: Effect.Effect<void> = Effect.void
): Effect.Effect<Collector<A>> =>
  Effect.map(Effect.context<never>(), (context) => {
    const fork = Effect.runForkWith(context)
    const waiting = new Set<A>()
    let isRunning = false

    const handleWaiting = Effect.suspend(() => {
      const items = [...waiting]
      waiting.clear()
      return items.length === 0 ? Effect.void : handle(items)
    })
    const handleAll = Effect.whileLoop({
      while: () => (isRunning = waiting.size > 0),
      body: () =>
        Effect.catchCause(Effect.andThen(before, handleWaiting), (cause) =>
          Effect.logError("handling of collected items failed", cause)
        ),
      step: () => {}
    })
    // a fiber begins at once, and others of the same turn may follow the first item
    const run = Effect.andThen(Effect.yieldNow, handleAll)

    return {
      addUnsafe: (item) => {
        waiting.add(item)
        if (isRunning) return
        isRunning = true
        fork(run)
      },
      removeUnsafe: (item) => void waiting.delete(item)
    }
  })
