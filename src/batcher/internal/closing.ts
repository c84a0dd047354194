/** Ends a batcher within its time. */
import { Clock, Console, Context, Deferred, Duration, Effect, Fiber } from "effect"
import type { Updates } from "../Accumulator.ts"
import type { ResolvedSettings } from "../BatcherSettings.ts"
import type { Sleepers } from "./sleepers.ts"
import type { Worker } from "./worker.ts"

interface Options<S, A, E, R, U extends Updates<A, U>> {
  readonly settings: ResolvedSettings
  readonly worker: Worker<S, A, E, R, U>
  readonly context: Context.Context<R>
  readonly sleepers: Sleepers
  readonly onDraining: Effect.Effect<void, never, R>
  /** Takes what is left, counts it as lost, and tells those who wait for it. */
  readonly cutOff: () => ReadonlyArray<A>
  readonly onClosed: (updates: ReadonlyArray<A>) => Effect.Effect<void, never, R>
}

/** How often closing looks at a clock of tests, in real time. */
const lookEvery = "10 millis"

/** The looks after which a clock that stands still is taken for one that nobody moves. */
const stillLooks = 300

/** The same where everything that closing waits for sleeps. */
const asleepLooks = 3

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
      Effect.raceFirst(untilClockIsStill(options, worker.fibers)),
      Effect.provideService(Clock.Clock, clock)
    )
    const updates = options.cutOff()
    const closed = runFork(options.onClosed(updates))
    const left = Duration.subtract(settings.shutdownTimeout, elapsedSince(start))
    if (closed.pollUnsafe() === undefined && Duration.isGreaterThan(left, Duration.zero)) {
      yield* Fiber.await(closed).pipe(
        Effect.timeoutOption(left),
        Effect.raceFirst(untilClockIsStill(options, new Set([closed]))),
        Effect.provideService(Clock.Clock, clock)
      )
    }
    return updates
  })

/**
 * Ends when a clock that is not the real one stands still: a test that ends while a write sleeps, or while one that failed
 * is about to be tried again, would wait for ever for somebody to move its clock. Where all that closing waits for sleeps
 * by that clock, nothing else can happen.
 */
const untilClockIsStill = <S, A, E, R, U extends Updates<A, U>>(
  { context, sleepers, worker }: Options<S, A, E, R, U>,
  fibers: ReadonlySet<Fiber.Fiber<unknown, unknown>>
): Effect.Effect<void> => {
  const live = Clock.Clock.defaultValue()
  const clock = Context.get(context, Clock.Clock)
  if (clock === live) return Effect.never
  return Effect.gen(function* () {
    let seen = clock.monotonicTimeNanosUnsafe()
    for (let looks = 0, asleep = 0; looks < stillLooks && asleep < asleepLooks; looks++) {
      yield* Effect.provideService(Effect.sleep(lookEvery), Clock.Clock, live)
      const now = clock.monotonicTimeNanosUnsafe()
      asleep = now === seen && sleepers.hold(fibers) ? asleep + 1 : 0
      if (now !== seen) looks = 0
      seen = now
    }
    const { inFlight, intake } = worker
    yield* Effect.logWarning(
      `${inFlight + intake.size} updates were pending when a batcher closed with work in progress, and nobody moved ` +
        "the clock: use TestClock.adjust while the scope closes, or flush before"
    ).pipe(
      Effect.annotateLogs({ inFlight, pending: intake.size }),
      // tests keep what is written to their console to themselves
      Effect.provideService(Console.Console, Console.Console.defaultValue())
    )
  })
}
