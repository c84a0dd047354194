/** Finds a second copy of this library or of effect in a process. Copies share neither services nor metrics. */
import { Effect } from "effect"

/** Known to all copies of this library. */
interface Copies {
  readonly known: Set<object>
  readonly warned: Set<string>
}

const place = Symbol.for("metadata-batcher/batcher/copies")

const copies = (): Copies => {
  const world = globalThis as { [place]?: Copies }
  return (world[place] ??= { known: new Set(), warned: new Set() })
}

const warnOnce = (name: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { warned } = copies()
    if (warned.has(name)) return Effect.void
    warned.add(name)
    return Effect.logWarning(
      `two copies of ${name} are in this process, which share neither services nor metrics: ` +
        "keep one, for example with npm dedupe"
    )
  })

/** Logs a warning, once, if there is another copy than this one, or if a fiber of another copy of effect runs this. */
export const warnOfCopies = (copy: object): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const { known } = copies()
    known.add(copy)
    const own = Effect.runFork(Effect.void)
    return Effect.andThen(
      known.size > 1 ? warnOnce("metadata-batcher") : Effect.void,
      Object.getPrototypeOf(fiber) === Object.getPrototypeOf(own) ? Effect.void : warnOnce("effect")
    )
  })
