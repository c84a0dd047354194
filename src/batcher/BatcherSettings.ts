/**
 * The bounds and times of a batcher, with their defaults, which are those of the original's metadata batcher.
 *
 * One rule holds for all: a setting that is absent or zero has its default. A value that makes no sense is an
 * {@link InvalidSetting}: a defect where the program gives it, a typed error where it comes from a `Config`.
 */
import { Data, Duration, Effect, Option } from "effect"

/** The fate of a batch whose write failed: it is lost, or put back and tried again. */
export type OnWriteFailure = "discard" | "retain"

/** The bounds and times of a batcher. */
export interface Settings {
  /** Updates per batch; this many pending updates are written at once. Default (also for 0): 500. */
  readonly maxBatchSize?: number | undefined
  /**
   * Updates per batch when more than `maxBatchSize` are waiting, so that a backlog is worked off in larger writes.
   * At least `maxBatchSize`. Default (also for 0): `maxBatchSize`.
   */
  readonly maxBacklogBatchSize?: number | undefined
  /**
   * Bytes per batch, by `sizeOf`, which it needs. A larger update is written alone. Default (also for 0 and `Infinity`): no limit.
   */
  readonly maxBatchBytes?: number | undefined
  /**
   * Time from the end of a flush to the next scheduled one. Default (also for 0): 5 seconds. `Infinity`: none.
   */
  readonly interval?: Duration.Input | undefined
  /** The longest that an update waits before a flush, also when the interval is longer. Default (also for 0): no limit. */
  readonly maxAge?: Duration.Input | undefined
  /** Updates that may wait in the mailbox while a write is in progress. Default (also for 0): 5 × `maxBatchSize`. */
  readonly queueCapacity?: number | undefined
  /**
   * Updates that may be pending or in flight, where a batch in flight counts as a full one. At least `maxBatchSize` and
   * `maxBacklogBatchSize`. Default (also for 0): the larger of `maxBatchSize` × `concurrency` and `maxBacklogBatchSize`.
   */
  readonly maxPending?: number | undefined
  /**
   * Bytes of updates that may be held, as the accumulator counts them: a sixteenth in the mailbox, the others pending or in
   * flight. Beyond it updates are lost that the accumulator chooses, as `evicted`. Needs an accumulator with `sized`.
   * Default (also for 0 and `Infinity`): no limit.
   */
  readonly maxPendingBytes?: number | undefined
  /**
   * Updates of one source that may wait in the mailbox or be pending, and at most a fifth of the mailbox is one source's.
   * Further ones are dropped, as `quota`. Needs an accumulator with `sources`. Default (also for 0 and
   * `Infinity`): no limit.
   */
  readonly maxPendingPerSource?: number | undefined
  /** Writes that may be in progress at a time; more than one needs `partitionBy`. Default (also for 0): 1. */
  readonly concurrency?: number | undefined
  /** The longest that closing may take. Default (also for 0): 15 seconds. */
  readonly shutdownTimeout?: Duration.Input | undefined
  /**
   * The part of `shutdownTimeout` that is kept for `onClosed`, which may have to save what could not be written. Less
   * than `shutdownTimeout`. Default: none, then `onClosed` has the time that draining leaves.
   */
  readonly handoverTimeout?: Duration.Input | undefined
  /** Default: `discard`. */
  readonly onWriteFailure?: OnWriteFailure | undefined
  /**
   * Failed attempts in a row after which the batch is given up, with `retain`. They are counted from the last batch on, of
   * whichever partition, that was written or given up. Default (also for 0 and `Infinity`): no limit.
   */
  readonly maxAttempts?: number | undefined
}

export interface ResolvedSettings {
  readonly maxBatchSize: number
  readonly maxBacklogBatchSize: number
  readonly maxBatchBytes: number
  readonly interval: Duration.Duration
  readonly maxAge: Duration.Duration
  readonly queueCapacity: number
  readonly maxPending: number
  readonly maxPendingBytes: number
  readonly maxPendingPerSource: number
  readonly concurrency: number
  readonly shutdownTimeout: Duration.Duration
  readonly handoverTimeout: Duration.Duration
  readonly onWriteFailure: OnWriteFailure
  readonly maxAttempts: number
}

/** A setting has a value that no batcher can be built with. */
export class InvalidSetting extends Data.TaggedError("InvalidSetting")<{
  /** The name of the setting. */
  readonly setting: string
  /** The end of the sentence "The setting must be …". */
  readonly requirement: string
  /** The value that makes no sense. */
  readonly actual: unknown
}> {
  override get message() {
    return `${this.setting} must be ${this.requirement}, but is ${String(this.actual)}; leave it out for its default`
  }
}

export const defaultShutdownTimeout = Duration.seconds(15)

/** Fills in the defaults. Fails with an {@link InvalidSetting} that names the setting and what is allowed. */
export const resolve = (
  settings: Settings,
  knows: { readonly partitions: boolean; readonly sizes: boolean; readonly bytes: boolean; readonly sources: boolean }
): Effect.Effect<ResolvedSettings, InvalidSetting> =>
  Effect.gen(function* () {
    const maxBatchSize = yield* count("maxBatchSize", settings.maxBatchSize, 500)
    const maxBacklogBatchSize = yield* count(
      "maxBacklogBatchSize",
      settings.maxBacklogBatchSize,
      maxBatchSize,
      maxBatchSize,
      "maxBatchSize"
    )
    const longest = maxBacklogBatchSize > maxBatchSize ? "maxBacklogBatchSize" : "maxBatchSize"
    const concurrency = yield* count("concurrency", settings.concurrency, 1)
    if (concurrency > 1 && !knows.partitions) {
      return yield* invalid("concurrency", "1 without partitionBy, which keeps the order of updates", concurrency)
    }
    const maxPendingBytes = yield* countIf(
      "maxPendingBytes",
      settings.maxPendingBytes,
      knows.bytes,
      "an accumulator with `sized`"
    )
    const maxPendingPerSource = yield* countIf(
      "maxPendingPerSource",
      settings.maxPendingPerSource,
      knows.sources,
      "an accumulator with `sources`"
    )
    const room = Math.max(maxBatchSize * concurrency, maxBacklogBatchSize)
    const maxBatchBytes = yield* countIf("maxBatchBytes", settings.maxBatchBytes, knows.sizes, "sizeOf")
    const { handoverTimeout = 0, onWriteFailure = "discard" } = settings
    const shutdownTimeout = yield* duration("shutdownTimeout", settings.shutdownTimeout, defaultShutdownTimeout)
    return {
      maxBatchSize,
      maxBacklogBatchSize,
      maxBatchBytes,
      interval: yield* duration("interval", settings.interval, Duration.seconds(5)),
      maxAge: yield* duration("maxAge", settings.maxAge, Duration.infinity),
      queueCapacity: yield* count("queueCapacity", settings.queueCapacity, maxBatchSize * 5),
      maxPending: yield* count("maxPending", settings.maxPending, room, maxBacklogBatchSize, longest),
      maxPendingBytes,
      maxPendingPerSource,
      concurrency,
      shutdownTimeout,
      handoverTimeout: yield* Effect.filterOrFail(
        duration("handoverTimeout", handoverTimeout, Duration.zero),
        (timeout) => Duration.isLessThan(timeout, shutdownTimeout),
        (actual) => invalid("handoverTimeout", "shorter than shutdownTimeout", Duration.format(actual))
      ),
      onWriteFailure: yield* Effect.filterOrFail(
        Effect.succeed(onWriteFailure),
        (word) => word === "discard" || word === "retain",
        (actual) => invalid("onWriteFailure", `"discard" or "retain"`, actual)
      ),
      maxAttempts: yield* count("maxAttempts", settings.maxAttempts, Number.POSITIVE_INFINITY)
    }
  })

const invalid = (setting: string, requirement: string, actual: unknown) =>
  new InvalidSetting({ setting, requirement, actual })

/** A count by the rule of this module: absent or zero means `byDefault`. Its minimum may be the value of another setting. */
const count = (
  setting: string,
  actual: number | undefined,
  byDefault: number,
  minimum = 1,
  minimumOf?: string
): Effect.Effect<number, InvalidSetting> => {
  // no limit may be given as such
  if (actual === undefined || actual === 0 || actual === byDefault) return Effect.succeed(byDefault)
  return Number.isSafeInteger(actual) && actual >= minimum
    ? Effect.succeed(actual)
    : Effect.fail(
        invalid(
          setting,
          `a whole number of at least ${minimumOf === undefined ? "" : `${minimumOf}, `}${minimum}`,
          actual
        )
      )
}

/** A count without a limit by default, which cannot be kept without certain rules. */
const countIf = (
  setting: string,
  actual: number | undefined,
  isKnown: boolean,
  rules: string
): Effect.Effect<number, InvalidSetting> =>
  Effect.filterOrFail(
    count(setting, actual, Number.POSITIVE_INFINITY),
    (limit) => isKnown || limit === Number.POSITIVE_INFINITY,
    (limit) => invalid(setting, `left out without ${rules}`, limit)
  )

/** A duration by the rule of this module: absent or zero means `byDefault`. */
export const duration = (
  setting: string,
  actual: Duration.Input | undefined,
  byDefault: Duration.Duration
): Effect.Effect<Duration.Duration, InvalidSetting> => {
  // NaN would become a duration of zero
  const given =
    typeof actual === "number" && Number.isNaN(actual) ? Option.none() : Duration.fromInput(actual ?? byDefault)
  return Option.isSome(given) && !Duration.isNegative(given.value)
    ? Effect.succeed(Duration.isZero(given.value) ? byDefault : given.value)
    : Effect.fail(invalid(setting, "a duration that is not negative", actual))
}
