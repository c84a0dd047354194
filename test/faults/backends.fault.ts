/** Single connections and single writes fail, on a database that stays up. */
import { PgClient } from "@effect/sql-pg"
import { describe } from "@effect/vitest"
import { Context, DateTime, Effect, Exit, Layer, Metric, Redacted, Schedule, Scope } from "effect"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import * as Metrics from "../../src/metadata/MetadataBatcherMetrics.ts"
import { AgentId } from "../../src/domain/Ids.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import * as Ledger from "./Ledger.ts"
import { and, expect, lasting, scenario, scenarioOfDatabase, seconds } from "./scenario.ts"
import * as World from "./World.ts"

const terminated = Effect.gen(function* () {
  const world = yield* World.make({ replicas: [{ METADATA_FLUSH_INTERVAL: "50 millis" }] })
  const { database, fleet, replica } = world
  let ended = 0
  yield* fleet.whileReporting(
    { to: () => replica.url, every: 100 },
    Effect.repeat(
      Effect.map(database.terminateAll, ({ length }) => (ended += length)),
      Schedule.upTo(Schedule.spaced("400 millis"), { duration: seconds(20) })
    )
  )
  const outcome = World.lossless(yield* World.look(world))
  return and(outcome, expect(ended > 10, `only ${ended} backends were ended`))
})

const retained = Effect.gen(function* () {
  const world = yield* World.make()
  const { database, fleet, replica } = world
  yield* database.failHalf
  yield* fleet.whileReporting({ to: () => replica.url, every: 250 }, lasting(seconds(60)))
  const outcome = World.lossless(yield* World.look(world))
  const failed = (yield* replica.metrics)("flush_failures_total")
  return and(outcome, expect(failed > 0, "no write failed"))
})

const discarded = Effect.gen(function* () {
  // each key is reported once, so that what a failure takes with it stays lost
  const world = yield* World.make({ agents: 200, keys: 30 })
  const { database, fleet, ledger } = world
  yield* database.failHalf
  const scope = yield* Scope.make()
  const registry = new Map()
  const services = yield* MetadataBatcher.layer({ onWriteFailure: "discard", maxBatchSize: 100 }).pipe(
    Layer.provide([PgMetadataStore.layer(), PubSub.layerMemory]),
    Layer.provide(PgClient.layer({ url: Redacted.make(database.url) })),
    Layer.build,
    Scope.provide(scope),
    Effect.provideService(Metric.MetricRegistry, registry)
  )
  const { add } = Context.get(services, MetadataBatcher.MetadataBatcher)
  yield* Effect.forEach(
    fleet.ids,
    Effect.fnUntraced(function* (id) {
      const number = ledger.next(id)
      const collectedAt = yield* DateTime.now
      const entries = fleet.keys.map((key) => ({ key, value: String(number), error: "", collectedAt }))
      if ((yield* add(AgentId.make(id), entries)) === 0) yield* ledger.accept(id, fleet.keys, number)
      yield* lasting("10 millis")
    }),
    { discard: true }
  )
  yield* Scope.close(scope, Exit.void)
  const count = (metric: Metric.Metric<number, Metric.CounterState<number>>) =>
    Effect.map(Effect.provideService(Metric.value(metric), Metric.MetricRegistry, registry), ({ count }) => count)
  const counted = yield* count(Metrics.lostKeys.write_failed)
  const outcome = Ledger.outcome(ledger.compare(yield* database.rows), counted)
  return and(
    outcome,
    expect(outcome.lost === counted, `${outcome.lost} were lost and ${counted} counted`),
    expect(outcome.lost > 0 && outcome.present > 0, "not some of the writes failed")
  )
})

const failsByTrigger = "a trigger of Postgres lets writes fail; in 36a those to one of three nodes do"

describe("a database that responds with failures", () => {
  scenario("4 · Every backend is terminated, again and again", terminated)
  scenarioOfDatabase("8a · Half of the writes fail for 60 s, and are kept", failsByTrigger, retained)
  scenarioOfDatabase("8b · Half of the writes fail, and are discarded", failsByTrigger, discarded)
})
