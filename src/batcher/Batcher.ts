/**
 * An actor that collects updates, merges what can be merged, and writes the rest in batches.
 *
 * - `add` never waits and never fails: what finds no room is dropped, and the caller learns what and why. `offer` waits for
 *   room, `addAndWait` until its updates are written. An update that merges into a pending one always finds room.
 * - A full batch is written at once (`capacity`), everything pending when the interval has passed since the last flush
 *   ended (`scheduled`) or when asked to (`manual`), and the rest when the scope closes (`shutdown`). A write starts in a
 *   turn of the event loop of its own, unless updates would have to be dropped otherwise.
 * - One batch is written at a time, or `concurrency` batches of different partitions; each has at most `maxBatchSize`
 *   updates and `maxBatchBytes` bytes. Order is kept over failures and limits, within a partition.
 * - Memory is bounded: at most `queueCapacity` updates wait in the mailbox, at most `maxPending` are pending or in flight.
 * - A failed write loses its batch (`discard`) or puts it back in front (`retain`), to be tried again as `retry` allows. A
 *   batch that the store rejects is split until the bad updates stand alone; only those are lost.
 * - Closing takes at most `shutdownTimeout`, even if a write or an observer refuses to be interrupted. Where a write or the
 *   pause before the next one sleeps by a clock of tests that nobody moves, it ends at once, and logs how much was pending.
 * - Every accepted update is written, merged into another, rejected, lost for a reason, or still held: see `accounting`.
 */
import { Clock, Config, Context, Effect, Layer, References, type Scope, Sink, Tracer } from "effect"
import type { Accumulator, Updates } from "./Accumulator.ts"
import { type Dropped, Lost, type LossReason } from "./BatcherErrors.ts"
import * as BatcherMetrics from "./BatcherMetrics.ts"
import { type FlushReason, notify, type Observer } from "./BatcherObserver.ts"
import { type InvalidSetting, resolve, type ResolvedSettings, type Settings } from "./BatcherSettings.ts"
import type { NotWritten } from "./internal/acknowledge.ts"
import { Backoff, type Retry } from "./internal/backoff.ts"
import type { Batch } from "./internal/batch.ts"
import { closeWithin } from "./internal/closing.ts"
import { warnOfCopies } from "./internal/copies.ts"
import { onFailedOf } from "./internal/defaultWarnings.ts"
import { type Batcher, isNested, makeHandle, Nested } from "./internal/handle.ts"
import { Intake } from "./internal/intake.ts"
import { Ledger } from "./internal/ledger.ts"
import { makeReceipts, settleAll } from "./internal/receipts.ts"
import { makeResume } from "./internal/resume.ts"
import { Selector } from "./internal/selector.ts"
import { Sleepers } from "./internal/sleepers.ts"
import { Worker } from "./internal/worker.ts"
import { WriteSpans } from "./internal/writeSpans.ts"
import { makeWriter } from "./internal/writer.ts"

export { Dropped, type DropReason, Lost, type LossReason, Rejected } from "./BatcherErrors.ts"
export type { Closed, Failed, FlushReason, GivenUp, Observer, Written } from "./BatcherObserver.ts"
export { InvalidSetting, type OnWriteFailure, type Settings } from "./BatcherSettings.ts"
export type { NotWritten } from "./internal/acknowledge.ts"
export type { Retry } from "./internal/backoff.ts"
export type { Added, Batcher, Sizes } from "./internal/handle.ts"
export type { FlushResult } from "./internal/job.ts"
export type { Accounting } from "./internal/ledger.ts"

/** How to make a batcher; the bounds and times among its options have defaults, see {@link Settings}. */
export interface Options<S, A, E, R, U = ReadonlyArray<A>, RO = R> extends Settings {
  /** How updates merge. */
  readonly accumulator: Accumulator<S, A, U>
  /**
   * Writes a batch. Writing the same updates again must do no harm. May be interrupted when closing takes too long. A write
   * that goes on when the batch is stored may call `onStored` then: its updates count as written from that moment on.
   */
  readonly write: (batch: ReadonlyArray<A>, reason: FlushReason, onStored: () => void) => Effect.Effect<unknown, E, R>
  /** Whether an error is the fault of the data, so that the same batch would fail again. Default: never. */
  readonly isRejection?: ((error: E) => boolean) | undefined
  /** The size of an update in bytes, for `maxBatchBytes`. One that is negative or no number counts as 0. */
  readonly sizeOf?: ((update: A) => number) | undefined
  /**
   * The partition of an update, compared as in a `Map`: no two batches in flight have updates of one partition. Updates
   * that may merge must have the same partition. Needed for a `concurrency` of more than 1.
   */
  readonly partitionBy?: ((update: A) => unknown) | undefined
  /**
   * When to try again after a failed write, with `retain`. Its input is the cause; the batch is given up when it ends, and
   * it begins anew after a batch that was written or given up. Default: pauses that double from 100 ms up to `interval`, at most 30
   * seconds, with jitter. Tests get the same pauses each time with `Random.withSeed` around the construction.
   */
  readonly retry?: Retry<E, RO> | undefined
  /** Is told the outcome of each batch. Default: nobody; then failed writes are warned of at most every 10 seconds. */
  readonly observer?: Observer<A, E, RO> | undefined
  /** Where to show metrics: a prefix and attributes, or what `BatcherMetrics.define` returns. Default: nowhere. */
  readonly metrics?: BatcherMetrics.Options | BatcherMetrics.Metrics | undefined
  /**
   * The name of the span of each write: a root span, which links to the spans in which updates were added since the write
   * before, up to 128 of them. Default: writes have no span of the batcher.
   */
  readonly span?: string | undefined
}

/**
 * Makes a batcher that lives as long as the scope and writes with the services of this moment, in spans and with log
 * annotations of its own. A setting that makes no sense is a defect, an {@link InvalidSetting}; see `makeChecked`.
 *
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Accumulator, Batcher } from "metadata-batcher"
 *
 * const program = Effect.gen(function* () {
 *   const views = yield* Batcher.make({
 *     accumulator: Accumulator.keyed({
 *       key: (view: { url: string; count: number }) => view.url,
 *       merge: (older, newer) => ({ url: newer.url, count: older.count + newer.count })
 *     }),
 *     write: (batch) => Console.log(batch),
 *     interval: "1 second"
 *   })
 *   yield* views.add([{ url: "/", count: 1 }])
 *   yield* views.add([{ url: "/", count: 1 }])
 * })
 *
 * // closing the scope writes everything pending
 * await Effect.runPromise(Effect.scoped(program))
 * // Output:
 * // [ { url: '/', count: 2 } ]
 * ```
 */
export const make = <S, A, E, R, U extends Updates<A, U> = ReadonlyArray<A>, RO = R>(
  options: Options<S, A, E, R, U, RO>
): Effect.Effect<Batcher<A, U, E>, never, R | RO | Scope.Scope> => Effect.orDie(makeChecked(options))

/** `make` for settings that come from outside: fails with an {@link InvalidSetting} that names the setting. */
export const makeChecked = Effect.fnUntraced(function* <S, A, E, R, U extends Updates<A, U> = ReadonlyArray<A>, RO = R>(
  options: Options<S, A, E, R, U, RO>
): Effect.fn.Return<Batcher<A, U, E>, InvalidSetting, R | RO | Scope.Scope> {
  const settings = yield* resolve(options, {
    partitions: options.partitionBy !== undefined,
    sizes: options.sizeOf !== undefined,
    bytes: options.accumulator.sized !== undefined,
    sources: options.accumulator.sources !== undefined
  })
  return yield* build<S, A, E, R | RO, U>(options, settings)
})

/** Stands for this copy of the library. */
const thisCopy = {}

const build = Effect.fnUntraced(function* <S, A, E, R, U extends Updates<A, U>>(
  options: Options<S, A, E, R, U>,
  settings: ResolvedSettings
): Effect.fn.Return<Batcher<A, U, E>, never, R | Scope.Scope> {
  yield* warnOfCopies(thisCopy)
  const token = {}
  const spans = options.span === undefined ? undefined : new WriteSpans(options.span)
  const sleepers = new Sleepers()
  const context = ownContext(yield* Effect.context<R>(), token, sleepers)
  const runFork = Effect.runForkWith(context)
  let recorder: BatcherMetrics.Recorder | undefined
  const observer: Observer<A, E, R> = options.observer ?? {}
  const ledger = new Ledger()
  const receipts = makeReceipts<S, A, NotWritten<A, E>, U>(options.accumulator)
  const lost = (reason: LossReason) => (update: A) => new Lost<A, E>({ updates: [update], reason })

  const onLost = (updates: ReadonlyArray<A>, reason: LossReason) => {
    if (updates.length > 0) runFork(notify(() => observer.onLost?.(updates, reason)))
  }

  const onDefect = (defect: unknown, updates: ReadonlyArray<A> = []) => {
    runFork(Effect.logError("a rule of a batcher threw", defect))
    onLost(updates, "defect")
  }

  const onBatchDefect = (defect: unknown, batch: Batch<A, E>) => {
    const updates = batch.unwritten
    ledger.lost.defect += updates.length
    if (batch.tally !== undefined) batch.tally.lost += updates.length
    batch.settle(batch.updates.length, lost("defect"))
    onDefect(defect, updates)
  }

  const backoff = new Backoff<E, R>(settings, options.retry, onDefect)

  const worker: Worker<S, A, E, R, U> = new Worker({
    settings,
    context,
    backoff,
    receipts,
    selector: new Selector({ ...settings, sizeOf: options.sizeOf, partitionBy: options.partitionBy, onDefect }),
    makeIntake: (signals) =>
      new Intake({
        settings,
        accumulator: options.accumulator,
        ledger,
        signals,
        receipts,
        onDefect,
        lostToDefect: lost("defect"),
        onEvicted: (updates) => {
          ledger.lost.evicted += updates.length
          onLost(settleAll(receipts, updates, lost("evicted")), "evicted")
        }
      }),
    write: makeWriter({
      write: spans === undefined ? options.write : spans.around(options.write),
      isRejection: options.isRejection,
      observer,
      onFailed: onFailedOf(observer),
      ledger,
      onFailure: backoff.onFailure,
      attempts: () => backoff.attempts,
      onWritten: (flush) => recorder?.onWritten(flush),
      restore: (batch) => worker.restore(batch)
    }),
    onDefect,
    onBatchDefect
  })

  const cutOff = (): ReadonlyArray<A> => {
    const updates = worker.end(lost("shutdown"))
    receipts.end(() => new Lost<A, E>({ updates: [], reason: "defect" }))
    ledger.lost.shutdown += updates.length
    return updates
  }
  const handle = makeHandle({
    callback: makeResume(context),
    worker,
    receipts,
    ledger,
    cutOff,
    isNested: isNested(token)
  })
  if (options.metrics !== undefined) {
    const { metrics } = options
    const defined = "identity" in metrics ? metrics : BatcherMetrics.define(metrics)
    recorder = yield* BatcherMetrics.register(defined, handle.accountingUnsafe, ledger)
  }

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      if (worker.intake.phase === "closed") return Effect.void
      const writtenBefore = ledger.written
      return closeWithin({
        settings,
        context,
        worker,
        sleepers,
        onDraining: notify(() => observer.onDraining?.(worker.intake.size + worker.inFlight)),
        cutOff,
        onClosed: (updates) => {
          const end = { written: ledger.written - writtenBefore, cutOff: updates.length, updates }
          return notify(() => observer.onClosed?.(end))
        }
      })
    })
  )
  return spans === undefined ? handle : spans.noting(handle)
})

/** The services of a batcher's fibers: spans and log annotations of whoever made it are not theirs. */
const ownContext = <R>(context: Context.Context<R>, token: object, sleepers: Sleepers): Context.Context<R> =>
  context.pipe(
    Context.omit(Tracer.ParentSpan),
    Context.add(Clock.Clock, sleepers.watch(Context.get(context, Clock.Clock))),
    Context.add(References.CurrentLogAnnotations, {}),
    Context.add(References.CurrentLogSpans, []),
    Context.add(Nested, new Set([...Context.get(context, Nested), token]))
  ) as Context.Context<R>

/**
 * A service that is a batcher, in one line.
 *
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Accumulator, Batcher } from "metadata-batcher"
 *
 * class Audit extends Batcher.Service<Audit, string>()("app/Audit") {}
 *
 * const layerAudit = Batcher.layer(Audit, {
 *   accumulator: Accumulator.fifo<string>(),
 *   write: (events) => Console.log(events.join(", "))
 * })
 *
 * const program = Audit.use(({ add }) => add(["sign in", "sign out"]))
 * await Effect.runPromise(Effect.provide(program, layerAudit))
 * // Output:
 * // sign in, sign out
 * ```
 */
export const Service =
  <Self, A, E = unknown, U = ReadonlyArray<A>>() =>
  <const Id extends string>(id: Id) =>
    Context.Service<Self, Batcher<A, U, E>>()(id)

/**
 * A layer of a service that is a batcher. Closing its scope writes what is held, within `shutdownTimeout`. If a successor
 * starts meanwhile, older updates may be written after newer ones: call `closeNow` first, and add to the successor what it
 * returns.
 */
export const layer = <I, S, A, E, R, U extends Updates<A, U> = ReadonlyArray<A>, RO = R>(
  service: Context.Key<I, Batcher<A, U, E>>,
  options: Options<S, A, E, R, U, RO>
): Layer.Layer<I, never, Exclude<R | RO, Scope.Scope>> => Layer.effect(service, make(options))

/**
 * `layer` with settings from a `Config`, which fails with what is wrong with them.
 *
 * @example
 * ```ts
 * import { Config, ConfigProvider, Console, Effect } from "effect"
 * import { Accumulator, Batcher } from "metadata-batcher"
 *
 * class Audit extends Batcher.Service<Audit, string>()("app/Audit") {}
 *
 * const layerAudit = Batcher.layerConfig(Audit, {
 *   accumulator: Accumulator.fifo<string>(),
 *   write: (events) => Console.log(events),
 *   settings: { maxBatchSize: Config.Int("AUDIT_BATCH_SIZE"), interval: Config.Duration("AUDIT_INTERVAL") }
 * })
 *
 * const environment = ConfigProvider.fromEnvRecord({ AUDIT_BATCH_SIZE: "-1", AUDIT_INTERVAL: "1 second" })
 * const program = Effect.provide(Audit, layerAudit).pipe(
 *   Effect.catchTag("InvalidSetting", ({ message }) => Console.log(message)),
 *   Effect.provideService(ConfigProvider.ConfigProvider, environment)
 * )
 * await Effect.runPromise(program)
 * // Output:
 * // maxBatchSize must be a whole number of at least 1, but is -1; leave it out for its default
 * ```
 */
export const layerConfig = <I, S, A, E, R, U extends Updates<A, U> = ReadonlyArray<A>, RO = R>(
  service: Context.Key<I, Batcher<A, U, E>>,
  options: Options<S, A, E, R, U, RO> & { readonly settings: Config.Wrap<Settings> }
): Layer.Layer<I, Config.ConfigError | InvalidSetting, Exclude<R | RO, Scope.Scope>> =>
  Layer.effect(
    service,
    Effect.flatMap(Config.unwrap(options.settings), (settings) => makeChecked({ ...options, ...settings }))
  )

/**
 * A sink that feeds a batcher from a stream of updates, no faster than the batcher has room. Fails when it closes.
 *
 * @example
 * ```ts
 * import { Console, Effect, Stream } from "effect"
 * import { Accumulator, Batcher } from "metadata-batcher"
 *
 * const program = Effect.gen(function* () {
 *   const numbers = yield* Batcher.make({
 *     accumulator: Accumulator.fifo<number>(),
 *     write: (batch) => Console.log(batch.join(" ")),
 *     maxBatchSize: 3
 *   })
 *   yield* Stream.run(Stream.range(1, 5), Batcher.sink(numbers))
 * })
 * await Effect.runPromise(Effect.scoped(program))
 * // Output:
 * // 1 2 3
 * // 4 5
 * ```
 */
export const sink = <A, E>(batcher: Batcher<A, ReadonlyArray<A>, E>): Sink.Sink<void, A, never, Dropped<A>> =>
  Sink.forEachArray((updates: ReadonlyArray<A>) => batcher.offer(updates))
