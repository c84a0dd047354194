/** A metadata batcher over a store and a pubsub that record their calls, under the control of the test. */
import { Context, DateTime, Deferred, Effect, Exit, Fiber, Layer, Metric, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as AgentIdChunks from "../../src/metadata/AgentIdChunks.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import * as MetadataStore from "../../src/metadata/MetadataStore.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { MetadataEntry, MetadataRow } from "../../src/domain/Metadata.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import { collectLogs, type LogRecord } from "./logs.ts"

export const agent = (number: number) => `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}` as AgentId

/** An instant, in milliseconds after an arbitrary one. */
export const at = (millis: number) => DateTime.makeUnsafe(1_700_000_000_000 + millis)

export const entry = (key: string, value = "", millis = 0, error = ""): MetadataEntry => ({
  key,
  value,
  error,
  collectedAt: at(millis)
})

export const entries = (count: number, prefix = "key"): ReadonlyArray<MetadataEntry> =>
  Array.from({ length: count }, (_, index) => entry(`${prefix}-${index}`, `value-${index}`))

/** Rows as plain text in one order, because the order of a batch means nothing. */
export const asSet = (rows: ReadonlyArray<MetadataRow>) =>
  rows.map((row) => `${row.agentId} ${row.key}=${row.value} ${row.error}@${row.collectedAt.epochMilliseconds}`).sort()

export const row = (agentId: AgentId, sample: MetadataEntry): MetadataRow => ({ agentId, ...sample })

type Write = MetadataStore.MetadataStore["Service"]["updateBatch"]
type Publish = PubSub.PubSub["Service"]["publish"]

export const agentsOf = (rows: ReadonlyArray<MetadataRow>) => [...new Set(rows.map((row) => row.agentId))]

/** A store that is well: every agent of the batch changed. */
export const well: Write = (rows) => Effect.succeed(agentsOf(rows))

export const failing =
  (reason: "rejected" | "unavailable" | "cancelled"): Write =>
  () =>
    Effect.fail(new MetadataStore.MetadataStoreError({ reason, cause: new Error("as the test wants it") }))

/** A store whose writes never end. */
export const hanging: Write = () => Effect.never

/** A store that gives its writes these outcomes in turn, and succeeds afterwards. */
export const inTurn = (...writes: ReadonlyArray<Write>): Write => {
  let call = 0
  return (rows) => (writes[call++] ?? well)(rows)
}

/** A store that waits in each call until the gate is opened. */
export const gated =
  (gate: Deferred.Deferred<void>): Write =>
  (rows) =>
    Effect.andThen(Deferred.await(gate), well(rows))

/** Refuses every batch with a value that contains `mark`, as a database refuses a batch with one bad row. */
export const refusing =
  (mark: string): Write =>
  (rows) =>
    rows.some((row) => row.value.includes(mark)) ? failing("rejected")(rows) : well(rows)

export interface Harness {
  readonly batcher: MetadataBatcher.MetadataBatcher["Service"]
  /** The rows of each write, call by call. */
  readonly calls: Array<ReadonlyArray<MetadataRow>>
  /** The published messages, one by one. */
  readonly published: Array<{ readonly channel: string; readonly agents: ReadonlyArray<AgentId> }>
  readonly logs: Array<LogRecord>
  readonly registry: Metric.MetricRegistry
  readonly metric: <State>(metric: Metric.Metric<never, State>) => State
  readonly close: Effect.Effect<void>
}

/** Starts a batcher that closes with `close`, or with the test. */
export const start = Effect.fnUntraced(function* (
  options: MetadataBatcher.Options & {
    readonly write?: Write
    readonly publish?: Publish
    readonly registry?: Metric.MetricRegistry
  } = {}
): Effect.fn.Return<Harness, never, Scope.Scope> {
  const { publish = () => Effect.void, registry = new Map(), write = well, ...settings } = options
  const calls: Harness["calls"] = []
  const published: Harness["published"] = []
  const logs: Array<LogRecord> = []

  const dependencies = Layer.mergeAll(
    Layer.succeed(
      MetadataStore.MetadataStore,
      MetadataStore.make({
        updateBatch: (rows) =>
          Effect.suspend(() => {
            calls.push(rows)
            return write(rows)
          }),
        read: () => Effect.succeed([])
      })
    ),
    Layer.succeed(PubSub.PubSub, {
      publish: (channel, payload) =>
        Effect.suspend(() => {
          published.push({ channel, agents: Result.getOrThrow(AgentIdChunks.decode(payload)) })
          return publish(channel, payload)
        }),
      subscribe: () => Stream.never
    })
  )

  const scope = yield* Scope.make()
  const observed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(collectLogs(logs), Effect.provideService(Metric.MetricRegistry, registry))
  const services = yield* MetadataBatcher.layer(settings).pipe(
    Layer.provide(dependencies),
    Layer.buildWithScope(scope),
    observed
  )
  const batcher = Context.get(services, MetadataBatcher.MetadataBatcher)
  const context = Context.make(Metric.MetricRegistry, registry)
  const close = observed(Scope.close(scope, Exit.void))
  // a store that hangs holds up the closing until its timeout, which only the test clock can bring about
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(Effect.forkChild(close, { startImmediately: true }), (closing) =>
      Effect.andThen(TestClock.adjust("1 hours"), Fiber.join(closing))
    )
  )
  return {
    batcher: { ...batcher, add: (agentId, entries) => observed(batcher.add(agentId, entries)) },
    calls,
    published,
    logs,
    registry,
    metric: (metric) => metric.valueUnsafe(context),
    close
  }
})
