/**
 * The bounds and times of a batcher, with their defaults.
 *
 * The defaults are those of the original's metadata batcher. A setting that is absent or zero has its default; one that
 * makes no sense ends the construction with an {@link InvalidSetting}, because it is a mistake in the program.
 */
import { Data, Duration, Effect, Option } from "effect"

/** What becomes of a batch that could not be written: it is lost, or put back to be tried again. */
export type OnWriteFailure = "discard" | "retain"

export interface Settings {
  /** Updates in a batch; as soon as this many are pending they are written. Default 500. */
  readonly maxBatchSize?: number | undefined
  /** Bytes in a batch, where the batcher knows the size of an update. A larger update goes alone. Default: no limit. */
  readonly maxBatchBytes?: number | undefined
  /** Time from the end of a flush to the next scheduled one. Default 5 seconds. */
  readonly interval?: Duration.Input | undefined
  /** Updates that may wait while a write is in progress. Default 5 batches. */
  readonly queueCapacity?: number | undefined
  /** Updates that may be pending or in flight, where a batch in flight counts as a full one. Default one batch. */
  readonly maxPending?: number | undefined
  /** The longest that closing may take. Default 15 seconds. */
  readonly shutdownTimeout?: Duration.Input | undefined
  /** Default `discard`. */
  readonly onWriteFailure?: OnWriteFailure | undefined
}

export interface ResolvedSettings {
  readonly maxBatchSize: number
  readonly maxBatchBytes: number
  readonly interval: Duration.Duration
  readonly queueCapacity: number
  readonly maxPending: number
  readonly shutdownTimeout: Duration.Duration
  readonly onWriteFailure: OnWriteFailure
}

/** A setting that no batcher can be built with. */
export class InvalidSetting extends Data.TaggedError("InvalidSetting")<{
  readonly setting: string
  readonly requirement: string
  readonly actual: unknown
}> {
  override get message() {
    return `${this.setting} must be ${this.requirement}, but is ${String(this.actual)}; leave it out for its default`
  }
}

/** Fills in the defaults. Dies with an {@link InvalidSetting} that names the setting and what it must be. */
export const resolve = (settings: Settings): Effect.Effect<ResolvedSettings> =>
  Effect.gen(function* () {
    const maxBatchSize = yield* count("maxBatchSize", settings.maxBatchSize, 500)
    const oneBatch = { minimum: maxBatchSize, of: `maxBatchSize, ${maxBatchSize}` }
    return {
      maxBatchSize,
      maxBatchBytes: yield* count("maxBatchBytes", settings.maxBatchBytes, Number.POSITIVE_INFINITY),
      interval: yield* duration("interval", settings.interval, Duration.seconds(5)),
      queueCapacity: yield* count("queueCapacity", settings.queueCapacity, maxBatchSize * 5),
      maxPending: yield* count("maxPending", settings.maxPending, maxBatchSize, oneBatch),
      shutdownTimeout: yield* duration("shutdownTimeout", settings.shutdownTimeout, Duration.seconds(15)),
      onWriteFailure: settings.onWriteFailure ?? "discard"
    }
  })

const count = (
  setting: string,
  actual: number | undefined,
  fallback: number,
  { minimum, of } = { minimum: 1, of: "1" }
): Effect.Effect<number> => {
  if (actual === undefined || actual === 0) return Effect.succeed(fallback)
  return Number.isSafeInteger(actual) && actual >= minimum
    ? Effect.succeed(actual)
    : Effect.die(new InvalidSetting({ setting, requirement: `a whole number of at least ${of}`, actual }))
}

/** A duration setting by the rule of this module: absent or zero means `fallback`. */
export const duration = (
  setting: string,
  actual: Duration.Input | undefined,
  fallback: Duration.Duration
): Effect.Effect<Duration.Duration> => {
  const given = Duration.fromInput(actual ?? fallback)
  return Option.isSome(given) && !Duration.isNegative(given.value)
    ? Effect.succeed(Duration.isZero(given.value) ? fallback : given.value)
    : Effect.die(new InvalidSetting({ setting, requirement: "a duration that is not negative", actual }))
}
