import { Console, Effect, Logger, Queue, References } from "effect"

/** A console whose lines a test takes one by one, and all that is logged beside it. */
export const watched = Effect.map(Queue.unbounded<string>(), (lines) => {
  const logs: Array<string> = []
  return {
    /** The next text that is printed. */
    next: Queue.take(lines),
    /** All log records, from debug up. */
    logs,
    /** Runs an effect that prints and logs here. */
    printing: <A, E, R>(self: Effect.Effect<A, E, R>) =>
      self.pipe(
        Effect.provideService(Console.Console, {
          ...globalThis.console,
          log: (line) => void Queue.offerUnsafe(lines, String(line))
        }),
        Effect.provideService(References.MinimumLogLevel, "Debug"),
        Effect.provide(Logger.layer([Logger.map(Logger.formatJson, (record) => void logs.push(record))]))
      )
  }
})
