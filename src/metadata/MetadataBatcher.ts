/**
 * Collects the metadata that agents report, writes the newest value of each agent and key in batches, and announces on one
 * channel which agents changed.
 *
 * It is a {@link Batcher} and has its guarantees. Beyond them:
 *
 * - Of the entries of one agent and key the one collected last is written; at equal times the one added last.
 * - The agents of whom the store changed a row are announced after the write, up to 363 per message, and nobody else is.
 *   With `announceInterval` they are collected first. An announcement that fails is counted and logged; the write stands.
 * - A write runs with the services of the batcher, never with those of the caller that added the entries.
 * - `maxPendingBytes` bounds the memory of what is held. Beyond it entries are lost of the agents that have the most pending,
 *   so that an agent with less than its fair share loses none. The source of `maxPendingPerSource` is an agent.
 * - Every entry that was dropped or lost is counted with its reason. No log contains a value.
 * - With a tracer each write has a span, which links to the spans of the reports whose rows it writes and contains the
 *   span of the announcement. No attribute contains a value.
 */
import { Clock, Config, Context, Duration, Effect, Layer, LogLevel, type Metric, type Scope } from "effect"
import type { AgentId } from "../domain/Ids.ts"
import type { MetadataEntry, MetadataRow } from "../domain/Metadata.ts"
import type { StoreError } from "../domain/StoreError.ts"
import * as Tracing from "../domain/Tracing.ts"
import * as Utf8 from "../domain/Utf8.ts"
import * as PubSub from "../pubsub/PubSub.ts"
import * as Batcher from "../batcher/Batcher.ts"
import type * as BatcherMetrics from "../batcher/BatcherMetrics.ts"
import * as BatcherSettings from "../batcher/BatcherSettings.ts"
import { collected, makeAnnouncer } from "./internal/announcer.ts"
import { newestMetadata, sizedNewestMetadata } from "./internal/newestMetadata.ts"
import { makeOutcomes } from "./internal/outcomes.ts"
import { Report } from "./internal/report.ts"
import { makeReportSpans } from "./internal/reportSpans.ts"
import { makeWarnTicker } from "./internal/warnTicker.ts"
import * as Metrics from "./MetadataBatcherMetrics.ts"
import * as MetadataStore from "./MetadataStore.ts"

export { channel } from "./MetadataStore.ts"

/** The bounds and times of a metadata batcher: those of every batcher, and its own. */
export interface Settings extends BatcherSettings.Settings {
  /**
   * Dropped entries are logged as a warning at most once in this time, otherwise at debug; so are pending ones that are lost.
   * Default (also for 0): 10 s.
   */
  readonly dropWarningInterval?: Duration.Input | undefined
  /**
   * How long changed agents are collected before they are announced, unless a message is full sooner. `flush` returns
   * without waiting for that; closing announces the rest. Default: 0, which announces them after each write.
   */
  readonly announceInterval?: Duration.Input | undefined
}

/** The options of a metadata batcher. */
export interface Options extends Settings {
  /** The channel on which changed agents are announced. Default: {@link channel}. A second batcher needs one of its own. */
  readonly channel?: string | undefined
  /** The prefix and the attributes of its metrics. Default: the original's prefix, without attributes. */
  readonly metrics?: Partial<BatcherMetrics.Options> | undefined
  /** When to try again after a failed write, with `retain`. Default: as for every {@link Batcher}. */
  readonly retry?: Batcher.Retry<StoreError, never> | undefined
}

/** Why entries of `addAndWait` are not written. */
export type NotWritten = Batcher.NotWritten<MetadataRow, StoreError>

/** The metadata batcher as a service. */
export class MetadataBatcher extends Context.Service<
  MetadataBatcher,
  {
    /**
     * Accepts what an agent reported and returns how many entries were dropped. Never fails, never waits. The array may be
     * used again afterwards; the entries must not be changed.
     */
    readonly add: (agentId: AgentId, entries: ReadonlyArray<MetadataEntry>) => Effect.Effect<number>
    /** Accepts what an agent reported as soon as there is room for it. Fails when the batcher closes. */
    readonly offer: (
      agentId: AgentId,
      entries: ReadonlyArray<MetadataEntry>
    ) => Effect.Effect<void, Batcher.Dropped<MetadataRow>>
    /** Adds what an agent reported and waits until it, or newer entries of the same keys, are written. */
    readonly addAndWait: (agentId: AgentId, entries: ReadonlyArray<MetadataEntry>) => Effect.Effect<void, NotWritten>
    /**
     * Writes everything pending. Returns when everything accepted before is written, rejected or lost, or when a write
     * failed and put its batch back: the result says which. During a back-off it waits for the end of that.
     */
    readonly flush: Effect.Effect<Batcher.FlushResult<StoreError>>
    /** `flush` that ends a back-off. */
    readonly flushNow: Effect.Effect<Batcher.FlushResult<StoreError>>
    /** Entries accepted and not yet handed to the store. */
    readonly pending: Effect.Effect<number>
    /**
     * The part of the room for entries that is taken, from 0 to 1: of `maxPending` or of `maxPendingBytes`, whichever is
     * more. A source of reports can slow down by it before entries are dropped.
     */
    readonly saturationUnsafe: () => number
  }
>()("metadata-batcher/metadata/MetadataBatcher") {}

/**
 * Makes a metadata batcher that lives as long as the scope; `layer` provides it as a service. For a second one, give this to
 * a service of your own, with a `channel` and `metrics` of its own:
 *
 * @example
 * ```ts
 * import { Console, Context, DateTime, Effect, Layer } from "effect"
 * import { Ids, MetadataBatcher, MetadataStore, PubSub } from "metadata-batcher"
 *
 * class TenantB extends Context.Service<TenantB, MetadataBatcher.MetadataBatcher["Service"]>()("app/TenantB") {}
 * const layerB = Layer.effect(
 *   TenantB,
 *   MetadataBatcher.make({ channel: "tenant_b", metrics: { attributes: { tenant: "b" } } })
 * )
 *
 * const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 * const program = Effect.gen(function* () {
 *   const batcher = yield* TenantB
 *   yield* batcher.add(agent, [{ key: "cpu", value: "12 %", error: "", collectedAt: yield* DateTime.now }])
 *   const { outcome, written } = yield* batcher.flush
 *   yield* Console.log(outcome, written)
 * })
 * const Memory = Layer.merge(MetadataStore.layerMemory, PubSub.layerMemory)
 * await Effect.runPromise(Effect.provide(program, Layer.provide(layerB, Memory)))
 * // Output:
 * // completed 1
 * ```
 */
export const make = (
  options?: Options
): Effect.Effect<MetadataBatcher["Service"], never, MetadataStore.MetadataStore | PubSub.PubSub | Scope.Scope> =>
  Effect.orDie(makeChecked(options))

/** `make` for settings that come from outside: fails with a {@link BatcherSettings.InvalidSetting} that names the setting. */
export const makeChecked = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<
  MetadataBatcher["Service"],
  BatcherSettings.InvalidSetting,
  MetadataStore.MetadataStore | PubSub.PubSub | Scope.Scope
> {
  const store = yield* MetadataStore.MetadataStore
  const pubsub = yield* PubSub.PubSub
  const context = yield* Effect.context<never>()
  const spans = Tracing.isEnabled(context) ? makeReportSpans() : undefined
  const { channel = MetadataStore.channel, metrics: metricOptions, ...settings } = options
  const metrics = Metrics.define({ prefix: Metrics.defaultPrefix, ...metricOptions })
  const update = <Input>(metric: Metric.Metric<Input, unknown>, input: Input) => metric.updateUnsafe(input, context)
  const onUtilization = yield* Metrics.register(metrics)
  const isDebug = yield* LogLevel.isEnabled("Debug")
  const announceNow = makeAnnouncer({ channel, pubsub, spans, onFailure: () => update(metrics.publishErrors, 1) })
  const interval = yield* BatcherSettings.duration("announceInterval", options.announceInterval, Duration.zero)
  // before the batcher, so that it closes after the last flush
  const timeout = yield* BatcherSettings.duration(
    "shutdownTimeout",
    options.shutdownTimeout,
    BatcherSettings.defaultShutdownTimeout
  )
  const collector = Duration.isZero(interval) ? undefined : yield* collected(interval, timeout, announceNow)
  const announce = collector?.announce ?? announceNow
  const write = (rows: ReadonlyArray<MetadataRow>, onStored: () => void) =>
    store.updateBatch(rows).pipe(
      Effect.tapError(({ changed = [] }) => announce(changed)),
      Effect.flatMap((agents) => {
        onStored()
        return announce(agents)
      })
    )

  const warnEvery = yield* BatcherSettings.duration(
    "dropWarningInterval",
    options.dropWarningInterval,
    Duration.seconds(10)
  )
  const clock = Context.get(context, Clock.Clock)
  const makeIsWarningDue = () => makeWarnTicker(clock, warnEvery)
  const batcher = yield* Batcher.makeChecked({
    ...settings,
    accumulator: settings.maxPendingBytes === undefined ? newestMetadata : sizedNewestMetadata,
    sizeOf: rowBytes,
    write:
      spans === undefined
        ? (rows, _, onStored) => write(rows, onStored)
        : (rows, reason, onStored) => spans.flush(rows, reason, write(rows, onStored)),
    isRejection: (error) => error.reason === "rejected",
    metrics: metrics.batcher,
    observer: makeOutcomes({
      metrics,
      update,
      nowMillis: () => clock.currentTimeMillisUnsafe(),
      onUtilization,
      isDebug,
      isWarningDue: makeIsWarningDue()
    })
  })
  if (collector !== undefined) yield* Effect.addFinalizer(() => collector.onClosing)

  const isWarningDue = makeIsWarningDue()
  const reportDrop = (agentId: AgentId, dropped: number) =>
    Effect.suspend(() => {
      const reason = batcher.dropReasonUnsafe()
      return Effect.logWithLevel(isWarningDue() ? "Warn" : "Debug")("metadata was dropped").pipe(
        Effect.annotateLogs({ agentId, dropped, reason, queueCapacity: batcher.queueCapacity }),
        Effect.as(dropped)
      )
    })

  const add = (report: Report) => {
    const dropped = batcher.addUnsafe(report)
    return dropped === 0 ? nothingDropped : reportDrop(report.agentId, dropped)
  }
  /** Gives a report to the batcher, with the span in which it was made. */
  const withReport = <A, E>(use: (report: Report) => Effect.Effect<A, E>) =>
    spans === undefined
      ? (agentId: AgentId, entries: ReadonlyArray<MetadataEntry>) =>
          Effect.suspend(() => use(new Report(agentId, entries)))
      : (agentId: AgentId, entries: ReadonlyArray<MetadataEntry>) =>
          Effect.withFiber(({ context }) => use(new Report(agentId, entries, spans.note(context))))

  return {
    add: withReport(add),
    offer: withReport(batcher.offer),
    addAndWait: withReport(batcher.addAndWait),
    flush: batcher.flush,
    flushNow: batcher.flushNow,
    pending: batcher.pending,
    saturationUnsafe: batcher.saturationUnsafe
  }
})

/**
 * The metadata batcher. Closing the layer's scope writes what was accepted, within `shutdownTimeout`. A setting that makes
 * no sense is a defect, {@link BatcherSettings.InvalidSetting}.
 */
export const layer = (
  options?: Options
): Layer.Layer<MetadataBatcher, never, MetadataStore.MetadataStore | PubSub.PubSub> =>
  Layer.effect(MetadataBatcher, make(options))

/**
 * `layer` with settings from a `Config`, which fails with what is wrong with them.
 *
 * @example
 * ```ts
 * import { Config, ConfigProvider, Console, Effect, Layer } from "effect"
 * import { MetadataBatcher, MetadataStore, PubSub } from "metadata-batcher"
 *
 * const layer = MetadataBatcher.layerConfig({
 *   settings: { maxBatchSize: Config.Int("BATCH_SIZE"), interval: Config.Duration("FLUSH_INTERVAL") }
 * })
 *
 * const environment = ConfigProvider.fromEnvRecord({ BATCH_SIZE: "-1", FLUSH_INTERVAL: "1 second" })
 * const program = Effect.provide(MetadataBatcher.MetadataBatcher, layer).pipe(
 *   Effect.catchTag("InvalidSetting", ({ message }) => Console.log(message)),
 *   Effect.provide(Layer.merge(MetadataStore.layerMemory, PubSub.layerMemory)),
 *   Effect.provideService(ConfigProvider.ConfigProvider, environment)
 * )
 * await Effect.runPromise(program)
 * // Output:
 * // maxBatchSize must be a whole number of at least 1, but is -1; leave it out for its default
 * ```
 */
export const layerConfig = (
  options: Omit<Options, keyof Settings> & { readonly settings: Config.Wrap<Settings> }
): Layer.Layer<
  MetadataBatcher,
  Config.ConfigError | BatcherSettings.InvalidSetting,
  MetadataStore.MetadataStore | PubSub.PubSub
> =>
  Layer.effect(
    MetadataBatcher,
    Effect.flatMap(Config.unwrap(options.settings), (settings) => makeChecked({ ...options, ...settings }))
  )

/**
 * A metadata batcher for tests of what uses it. It accepts everything and keeps nothing; each member can be replaced.
 *
 * @example
 * ```ts
 * import { Console, DateTime, Effect } from "effect"
 * import { Ids, MetadataBatcher } from "metadata-batcher"
 *
 * const reported: Array<string> = []
 * const layer = MetadataBatcher.layerTest({
 *   add: (_, entries) => Effect.sync(() => (reported.push(...entries.map(({ key }) => key)), 0))
 * })
 *
 * const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
 * const codeUnderTest = Effect.gen(function* () {
 *   const batcher = yield* MetadataBatcher.MetadataBatcher
 *   yield* batcher.add(agent, [{ key: "cpu", value: "12 %", error: "", collectedAt: yield* DateTime.now }])
 * })
 * await Effect.runPromise(Effect.provide(codeUnderTest, layer))
 * await Effect.runPromise(Console.log(reported))
 * // Output:
 * // [ 'cpu' ]
 * ```
 */
export const layerTest = (members: Partial<MetadataBatcher["Service"]> = {}): Layer.Layer<MetadataBatcher> =>
  Layer.succeed(MetadataBatcher, {
    add: () => nothingDropped,
    offer: () => Effect.void,
    addAndWait: () => Effect.void,
    flush: nothingFlushed,
    flushNow: nothingFlushed,
    pending: nothingDropped,
    saturationUnsafe: () => 0,
    ...members
  })

const nothingDropped = Effect.succeed(0)

const nothingFlushed = Effect.succeed<Batcher.FlushResult<StoreError>>({
  outcome: "completed",
  written: 0,
  rejected: 0,
  lost: 0,
  retained: 0,
  cause: undefined
})

/** The bytes of a row in a statement: its texts, its id and its time. */
const rowBytes = (row: MetadataRow): number =>
  Utf8.byteLength(row.key) + Utf8.byteLength(row.value) + Utf8.byteLength(row.error) + 16 + 8
