/** Two tenants in one process: each has a batcher, a store, a channel and metrics of its own. */
import { Console, Context, DateTime, Effect, Fiber, Layer, Metric, Stream } from "effect"
import { AgentIdChunks, Ids, MetadataBatcher, MetadataBatcherMetrics, MetadataStore, PubSub } from "metadata-batcher"

type Batching = MetadataBatcher.MetadataBatcher["Service"]

export class Blue extends Context.Service<Blue, Batching>()("app/Blue") {}
export class Green extends Context.Service<Green, Batching>()("app/Green") {}

/** The channel that announces which agents of a tenant changed. */
export const channelOf = (tenant: string) => `metadata_${tenant}`

/** The metrics of a tenant, told apart by an attribute. */
export const metricsOf = (tenant: string) =>
  MetadataBatcherMetrics.define({ prefix: MetadataBatcherMetrics.defaultPrefix, attributes: { tenant } }).batcher

const layerOf = <Self>(service: Context.Key<Self, Batching>, tenant: string) =>
  Layer.effect(
    service,
    MetadataBatcher.make({ channel: channelOf(tenant), metrics: { attributes: { tenant } } })
    // fresh, because a layer is built once however often it is provided, and tenants must not share a store
  ).pipe(Layer.provide(Layer.fresh(MetadataStore.layerMemory)))

/** Both tenants over one pubsub. */
export const layer: Layer.Layer<Blue | Green, never, PubSub.PubSub> = Layer.merge(
  layerOf(Blue, "blue"),
  layerOf(Green, "green")
)

/** Returns the agents of the next announcement of a tenant. */
export const nextChange = (tenant: string) =>
  PubSub.messages(channelOf(tenant)).pipe(
    Stream.take(1),
    Stream.runCollect,
    Effect.flatMap(([payload]) => Effect.fromResult(AgentIdChunks.decode(payload!)))
  )

export const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")

export const report = (batcher: Batching, value: string) =>
  Effect.flatMap(DateTime.now, (collectedAt) => batcher.add(agent, [{ key: "cpu", value, error: "", collectedAt }]))

const program = Effect.gen(function* () {
  const changed = yield* Effect.forkChild(nextChange("blue"), { startImmediately: true })
  yield* report(yield* Blue, "12 %")
  yield* (yield* Blue).flush
  yield* Console.log(`blue: ${(yield* Fiber.join(changed)).length} agent changed`)
  for (const tenant of ["blue", "green"]) {
    const { count } = yield* Metric.value(metricsOf(tenant).written)
    yield* Console.log(`${tenant}: ${count} written`)
  }
})

if (import.meta.main) {
  await Effect.runPromise(Effect.provide(program, Layer.provideMerge(layer, PubSub.layerMemory)))
}
