/** Collects log records, so that a test can look at them. */
import { Cause, Effect, Logger, References } from "effect"

export interface LogRecord {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
  /** The cause, where the record has one. */
  readonly cause?: string
}

/** Runs an effect with every log record, from debug up, going into `records`. */
export const collectLogs =
  (records: Array<LogRecord>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    self.pipe(
      Effect.provide(
        Logger.layer([
          Logger.make(({ cause, fiber, logLevel, message }) => {
            // TestClock logs a warning when no test has moved it for a real second
            if (String(message).startsWith("A test is using time")) return
            records.push({
              level: logLevel,
              message: (Array.isArray(message) ? message : [message])
                .map((part) => (typeof part === "string" ? part : JSON.stringify(part)))
                .join(" "),
              annotations: { ...fiber.getRef(References.CurrentLogAnnotations) },
              ...(cause.reasons.length === 0 ? {} : { cause: Cause.pretty(cause) })
            })
          })
        ])
      ),
      Effect.provideService(References.MinimumLogLevel, "Debug")
    )
