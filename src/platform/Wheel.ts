/**
 * Runs a periodic task of each of many connections, with one fiber and one timer for all of them.
 *
 * - A task is due one interval after it was added, and then once per interval. It runs up to 10 ms early, because tasks
 *   that are due at about the same time share a timer. Turns that were missed in a stall are left out.
 * - Tasks run side by side. A task that is still running when it is due again is not run a second time.
 * - A task ends with the scope in which it was added.
 * - A task that dies is logged, and is run again when it is due.
 */
import { Clock, Duration, Effect, type Fiber, Latch, type Scope } from "effect"
import * as LeanScope from "./LeanScope.ts"
import * as MonotonicClock from "./MonotonicClock.ts"

/** Tasks that are due within so many milliseconds are run together. */
const tolerance = 10

export interface Task {
  /** Runs the task now or, if it is running, once more after that. */
  readonly runNowUnsafe: () => void
}

export interface Wheel {
  /** Runs `task` once per interval until the scope closes. */
  readonly add: (task: Effect.Effect<void>) => Effect.Effect<Task, never, Scope.Scope>
}

/** Makes a wheel that turns until the scope closes. */
export const make = Effect.fnUntraced(function* (every: Duration.Input) {
  const interval = Duration.toMillis(Duration.fromInputUnsafe(every))
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
    const fiber = runFork(logged(entry.task))
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
    if (next.dueAt > now) return Effect.sleep(next.dueAt - now)
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
    add: (task) =>
      LeanScope.acquireRelease(
        Effect.sync(() => {
          const entry = new Entry(task, run)
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
  readonly task: Effect.Effect<void>
  readonly #run: (entry: Entry) => void
  dueAt = 0
  running: Fiber.Fiber<void> | undefined
  isWanted = false

  constructor(task: Effect.Effect<void>, run: (entry: Entry) => void) {
    this.task = task
    this.#run = run
  }

  runNowUnsafe() {
    this.#run(this)
  }
}

const logged = (task: Effect.Effect<void>) =>
  Effect.catchDefect(task, (defect) => Effect.logError("a periodic task died", defect))
