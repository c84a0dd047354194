/** A clock that knows which sleeps are in progress. */
import { Clock, type Duration, Effect } from "effect"

/** Runs an effect by the clock of its context, and hands it the number of sleeps by that clock. */
export const counted = <A, E, R>(use: (sleeping: () => number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.Clock, (own) => {
    let sleeping = 0
    const clock: Clock.Clock = Object.assign(Object.create(own), {
      sleep: (duration: Duration.Duration) =>
        Effect.suspend(() => {
          sleeping++
          return Effect.ensuring(
            own.sleep(duration),
            Effect.sync(() => sleeping--)
          )
        })
    })
    return Effect.provideService(
      use(() => sleeping),
      Clock.Clock,
      clock
    )
  })
