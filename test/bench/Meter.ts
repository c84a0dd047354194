/** What a piece of work costs this process. */
import { Duration, Effect } from "effect"

export interface Reading<A> {
  readonly answer: A
  readonly millis: number
  /** Of all threads, garbage collection and compilation included. */
  readonly cpuMillis: number
}

export const read = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<Reading<A>, E, R> =>
  Effect.suspend(() => {
    const before = process.cpuUsage()
    return Effect.map(Effect.timed(work), ([elapsed, answer]) => {
      const { system, user } = process.cpuUsage(before)
      return { answer, millis: Duration.toMillis(elapsed), cpuMillis: (system + user) / 1_000 }
    })
  })
