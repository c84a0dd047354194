import { Effect, Queue } from "effect"
import * as Fleet from "../../src/fleet/Fleet.ts"

/** Figures of a fleet that tell of each change, so that a test can wait for what it wants to see. */
export const watched = Effect.map(Queue.unbounded<void>(), (changes) => {
  const tell = () => Queue.offerUnsafe(changes, undefined)
  class Counts extends Map {
    override set(key: unknown, count: unknown) {
      tell()
      return super.set(key, count)
    }
  }
  const figures: Fleet.Figures = new Proxy(
    { ...Fleet.figures(), calls: new Counts(), failures: new Counts() },
    {
      set: (target, name, value) => {
        tell()
        return Reflect.set(target, name, value)
      }
    }
  )
  const until = (isSo: (figures: Fleet.Figures) => boolean): Effect.Effect<void> =>
    Effect.suspend(() => (isSo(figures) ? Effect.void : Effect.andThen(Queue.take(changes), until(isSo))))
  return { figures, until }
})
