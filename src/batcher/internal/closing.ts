/** Ends a batcher within its time. */
import { Clock, Context, Deferred, Duration, Effect, Fiber } from "effect"
import type { Updates } from "../Accumulator.ts"
import type { ResolvedSettings } from "../BatcherSettings.ts"
import type { Worker } from "./worker.ts"

interface Options<S, A, E, R, U extends Updates<A, U>> {
  readonly settings: ResolvedSettings
  readonly worker: Worker<S, A, E, R, U>
  readonly context: Context.Context<R>
  readonly onDraining: Effect.Effect<void, never, R>
  /** Takes what is left, counts it as lost, and tells those who wait for it. */
  readonly cutOff: () => ReadonlyArray<A>
  readonly onClosed: (updates: ReadonlyArray<A>) => Effect.Effect<void, never, R>
}

/** How long a clock of a test may stand still, in real time, before it is taken for one that nobody moves. */
const stillness = "3 seconds"

/**
 * Writes what is held for as long as `shutdownTimeout` allows, and hands over the rest. Neither a write nor an observer
 * can hold it up: what does not end in time goes on in the background or is interrupted there.
 */
export const closeWithin = <S, A, E, R, U extends Updates<A, U>>(
  options: Options<S, A, E, R, U>
): Effect.Effect<ReadonlyArray<A>> =>
  Effect.gen(function* () {
    const { context, settings, worker } = options
    const runFork = Effect.runForkWith(context)
    const clock = Context.get(context, Clock.Clock)
    const elapsedSince = (start: bigint) => Duration.nanos(clock.monotonicTimeNanosUnsafe() - start)
    const start = clock.monotonicTimeNanosUnsafe()
    const draining = Deferred.makeUnsafe<void>()
    worker.onDrained = () => Deferred.doneUnsafe(draining, Effect.void)
    runFork(options.onDraining)
    worker.drain()

    const drainTimeout = Duration.subtract(settings.shutdownTimeout, settings.handoverTimeout)
    yield* Deferred.await(draining).pipe(
      Effect.timeoutOption(drainTimeout),
      Effect.raceFirst(untilClockIsStill(clock, worker)),
      Effect.provideService(Clock.Clock, clock)
    )
    const updates = options.cutOff()
    const closed = runFork(options.onClosed(updates))
    const left = Duration.subtract(settings.shutdownTimeout, elapsedSince(start))
    if (closed.pollUnsafe() === undefined && Duration.isGreaterThan(left, Duration.zero)) {
      yield* Fiber.await(closed).pipe(
        Effect.timeoutOption(left),
        Effect.raceFirst(untilClockIsStill(clock, worker)),
        Effect.provideService(Clock.Clock, clock)
      )
    }
    return updates
  })

/**
 * Ends when a clock that is not the real one stands still: a test that ends while a write sleeps would wait for ever for
 * somebody to move its clock.
 */
const untilClockIsStill = <S, A, E, R, U extends Updates<A, U>>(
  clock: Clock.Clock,
  worker: Worker<S, A, E, R, U>
): Effect.Effect<void> => {
  const live = Clock.Clock.defaultValue()
  if (clock === live) return Effect.never
  return Effect.gen(function* () {
    for (;;) {
      const before = clock.monotonicTimeNanosUnsafe()
      yield* Effect.provideService(Effect.sleep(stillness), Clock.Clock, live)
      if (clock.monotonicTimeNanosUnsafe() === before) break
    }
    yield* Effect.logWarning(
      "a batcher closed with a write or an observer in progress, while nobody moved the clock of the test: " +
        "move it with TestClock.adjust while the scope closes, or flush before the test ends"
    ).pipe(Effect.annotateLogs({ inFlight: worker.inFlight, pending: worker.intake.size }))
  })
}
