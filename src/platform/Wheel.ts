/**
 * Visits each of many connections periodically, with one fiber and one timer for all of them.
 *
 * - A connection is visited one interval after it was added, and then once per interval. A visit may be early by a
 *   hundredth of the interval, at most 100 ms, because visits at about the same time share a timer. Visits that were
 *   missed in a stall are left out.
 * - A visit is a plain function: it costs no fiber unless it returns an effect, which then runs in a fiber of its own.
 * - Effects run side by side. A connection whose effect still runs is not visited.
 * - Visits and effects end with the scope in which they were added.
 * - A visit that throws and an effect that dies are logged, and the connection is visited again when it is due.
 */
import { Clock, Duration, Effect, type Fiber, Latch, type Scope } from "effect"
import * as LeanScope from "./LeanScope.ts"
import * as MonotonicClock from "./MonotonicClock.ts"

/** The longest time, in milliseconds, by which a visit may be early. */
const maxTolerance = 100

/** Returns the effect that is left to run, if there is one. */
export type Visit = () => Effect.Effect<void> | undefined

export interface Task {
  /** Visits the connection now or, while the effect of a visit runs, once more after that. */
  readonly runNowUnsafe: () => void
}

export interface Wheel {
  /** Runs `visit` once per interval until the scope closes. */
  readonly add: (visit: Visit) => Effect.Effect<Task, never, Scope.Scope>
}

/** Makes a wheel that turns until the scope closes. */
export const make = Effect.fnUntraced(function* (every: Duration.Input) {
  const interval = Duration.toMillis(Duration.fromInputUnsafe(every))
  const tolerance = Math.min(interval / 100, maxTolerance)
  const clock = yield* Clock.Clock
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  // in the order in which they are due, because all have the same interval
  const entries = new Set<Entry>()
  const isNotEmpty = Latch.makeUnsafe(false)

  const schedule = (entry: Entry, from: number) => {
    entry.dueAt = from + interval
    entries.delete(entry)
    entries.add(entry)
    isNotEmpty.openUnsafe()
  }

  const run = (entry: Entry) => {
    entry.isWanted = entry.running !== undefined
    if (entry.isWanted) return
    const effect = visited(entry)
    if (effect === undefined) return
    const fiber = runFork(logged(effect))
    if (fiber.pollUnsafe() !== undefined) return
    entry.running = fiber
    fiber.addObserver(() => {
      entry.running = undefined
      if (entry.isWanted) run(entry)
    })
  }

  const turn = Effect.suspend(() => {
    const [next] = entries
    if (next === undefined) return Effect.andThen(isNotEmpty.close, isNotEmpty.await)
    const now = MonotonicClock.millisUnsafe(clock)
    if (next.dueAt > now) return Effect.sleep(MonotonicClock.wholeMicros(next.dueAt - now))
    for (const entry of entries) {
      if (entry.dueAt > now + tolerance) break
      const isLate = entry.dueAt + interval <= now + tolerance
      schedule(entry, isLate ? now : entry.dueAt)
      if (entry.running === undefined) run(entry)
    }
    return Effect.void
  })
  yield* Effect.forkScoped(Effect.forever(turn))

  const remove = (entry: Entry) =>
    Effect.sync(() => {
      entries.delete(entry)
      entry.isWanted = false
      entry.running?.interruptUnsafe()
    })
  const wheel: Wheel = {
    add: (visit) =>
      LeanScope.acquireRelease(
        Effect.sync(() => {
          const entry = new Entry(visit, run)
          schedule(entry, MonotonicClock.millisUnsafe(clock))
          return entry
        }),
        remove
      )
  }
  return wheel
})

// its functions are those of the class: connections have several entries each
class Entry implements Task {
  readonly visit: Visit
  readonly #run: (entry: Entry) => void
  dueAt = 0
  running: Fiber.Fiber<void> | undefined
  isWanted = false

  constructor(visit: Visit, run: (entry: Entry) => void) {
    this.visit = visit
    this.#run = run
  }

  runNowUnsafe() {
    this.#run(this)
  }
}

const visited = ({ visit }: Entry) => {
  try {
    return visit()
  } catch (defect) {
    return Effect.die(defect)
  }
}

const logged = (effect: Effect.Effect<void>) =>
  Effect.catchDefect(effect, (defect) => Effect.logError("a periodic task died", defect))
