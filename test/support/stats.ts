/** Statistics over a store that records its calls, under the control of the test. */
import { NodeCrypto } from "@effect/platform-node"
import { Context, Effect, Exit, Fiber, Layer, Metric, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as AgentStats from "../../src/usage/AgentStats.ts"
import * as StatsBatcher from "../../src/usage/StatsBatcher.ts"
import { type StatsRow, StatsStore } from "../../src/usage/StatsStore.ts"
import { at, agent } from "./metadataBatcher.ts"
import { workspace } from "./identity.ts"
import { collectLogs, type LogRecord } from "./logs.ts"
import { StoreError } from "../../src/domain/StoreError.ts"

/** The counters of a report with these values and no others. */
export const figures = (said: Partial<AgentStats.StatsCounters> = {}): AgentStats.StatsCounters => ({
  ...AgentStats.zeroCounters,
  ...said
})

/** A report of the agent with this number. */
export const report = (number: number, said?: Partial<AgentStats.StatsCounters>): Omit<StatsRow, "id"> => ({
  at: at(number),
  userId: workspace.ownerId,
  workspaceId: workspace.id,
  templateId: workspace.templateId,
  agentId: agent(number),
  figures: figures(said),
  usage: false
})

type Insert = typeof StatsStore.Service.insert

export const away: Insert = () =>
  Effect.fail(new StoreError({ operation: "write statistics", reason: "unavailable", cause: new Error("no route") }))

/** A store whose writes never end. */
export const hanging: Insert = () => Effect.never

/** Refuses every batch with a report of this agent. */
export const refusing =
  (number: number): Insert =>
  (rows) =>
    rows.some(({ agentId }) => agentId === agent(number))
      ? Effect.fail(new StoreError({ operation: "write statistics", reason: "rejected", cause: new Error("a secret") }))
      : Effect.void

/** A store that gives its writes these outcomes in turn, and succeeds afterwards. */
export const inTurn = (...writes: ReadonlyArray<Insert>): Insert => {
  let call = 0
  return (rows) => (writes[call++] ?? (() => Effect.void))(rows)
}

/** Starts a batcher that closes with `close`, or with the test. */
export const start = Effect.fnUntraced(function* (options: StatsBatcher.Options & { readonly insert?: Insert } = {}) {
  const { insert = () => Effect.void, ...settings } = options
  const calls: Array<ReadonlyArray<StatsRow>> = []
  const logs: Array<LogRecord> = []
  const registry: Metric.MetricRegistry = new Map()
  const scope = yield* Scope.make()
  const observed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(collectLogs(logs), Effect.provideService(Metric.MetricRegistry, registry))

  const services = yield* StatsBatcher.layer(settings).pipe(
    Layer.provide([
      Layer.mock(StatsStore)({
        insert: (rows) =>
          Effect.suspend(() => {
            calls.push(rows)
            return insert(rows)
          })
      }),
      NodeCrypto.layer
    ]),
    Layer.buildWithScope(scope),
    observed
  )
  const { add, flush } = Context.get(services, StatsBatcher.StatsBatcher)
  const close = observed(Scope.close(scope, Exit.void))
  // a store that hangs holds up the closing until its timeout, which only the test clock can bring about
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(Effect.forkChild(close, { startImmediately: true }), (closing) =>
      Effect.andThen(TestClock.adjust("1 hours"), Fiber.join(closing))
    )
  )
  return {
    add,
    /** Reports of agents from one number to before another. */
    addAll: (from: number, to: number) =>
      collectLogs(logs)(
        Effect.forEach(
          Array.from({ length: to - from }, (_, index) => report(from + index)),
          add,
          { discard: true }
        )
      ),
    flush,
    /** The rows of each write, call by call. */
    calls,
    sizes: () => calls.map((rows) => rows.length),
    logs,
    /** The names of all metrics that are shown. */
    names: Effect.map(Metric.snapshot, (metrics) => new Set(metrics.map(({ id }) => id))).pipe(
      Effect.provideService(Metric.MetricRegistry, registry)
    ),
    count: (metric: Metric.Counter<number>) => metric.valueUnsafe(Context.make(Metric.MetricRegistry, registry)).count,
    close
  }
})
