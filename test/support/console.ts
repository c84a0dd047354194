import { Console, Effect, Logger, Queue } from "effect"

/** A console whose lines a test takes one by one. */
export const watched = Effect.map(Queue.unbounded<string>(), (lines) => ({
  /** The next text that is printed. */
  next: Queue.take(lines),
  /** Runs an effect that prints here, and logs nowhere. */
  printing: <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(
      Effect.provideService(Console.Console, {
        ...globalThis.console,
        log: (line) => void Queue.offerUnsafe(lines, String(line))
      }),
      Effect.provide(Logger.layer([]))
    )
}))
