/** Uses that the types reject. Each line below such a comment is an error without it, and a comment too many is one. */
// the compiler says it; the linter of Effect, which says it too, takes no expectations
// @effect-diagnostics missingLayerContext:off missingEffectContext:off missingEffectError:off
import { Context, Data, DateTime, Effect, Layer, type Option, type Scope } from "effect"
import {
  Accumulator,
  Batcher,
  Ids,
  MetadataBatcher,
  MetadataStore,
  PlainIds,
  PubSub,
  UsageTracker
} from "metadata-batcher"

const agent = Ids.AgentId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
const workspace = Ids.WorkspaceId.make("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
export const plain: Option.Option<Ids.AgentId> = PlainIds.agentId("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10")
const entry = { key: "cpu", value: "12 %", error: "", collectedAt: DateTime.makeUnsafe(0) }

// --- needs of a batcher ---

export const complete: Layer.Layer<MetadataBatcher.MetadataBatcher> = MetadataBatcher.layer().pipe(
  Layer.provide([MetadataStore.layerMemory, PubSub.layerMemory])
)
// @ts-expect-error neither a store nor a pubsub
export const alone: Layer.Layer<MetadataBatcher.MetadataBatcher> = MetadataBatcher.layer()
// @ts-expect-error no pubsub
export const withoutPubSub: Layer.Layer<MetadataBatcher.MetadataBatcher> = MetadataBatcher.layer().pipe(
  Layer.provide(MetadataStore.layerMemory)
)
// @ts-expect-error no store
export const withoutStore: Layer.Layer<MetadataBatcher.MetadataBatcher> = MetadataBatcher.layer().pipe(
  Layer.provide(PubSub.layerMemory)
)
// @ts-expect-error no store of usage
export const tracking: Layer.Layer<UsageTracker.UsageTracker> = UsageTracker.layer()
// @ts-expect-error a program that uses the batcher does not run without one
export const running = () => Effect.runPromise(MetadataBatcher.MetadataBatcher.use(({ flush }) => flush))

// --- options ---

export const options = [
  MetadataBatcher.layer({ maxBatchSize: 500, interval: "5 seconds", onWriteFailure: "retain" }),
  // @ts-expect-error there is no such option
  MetadataBatcher.layer({ batchSize: 500 }),
  // @ts-expect-error a number is no text
  MetadataBatcher.layer({ maxBatchSize: "500" }),
  // @ts-expect-error no unit of time
  MetadataBatcher.layer({ interval: "5 ticks" }),
  // @ts-expect-error a failed batch is discarded or retained
  MetadataBatcher.layer({ onWriteFailure: "ignore" })
]

// --- entries ---

export const adding = MetadataBatcher.MetadataBatcher.use(({ add }) => {
  // it neither fails nor needs anything
  const dropped: Effect.Effect<number> = add(agent, [entry])
  return Effect.all([
    dropped,
    // @ts-expect-error plain text is no id
    add("6c3bdf9e-2f3f-4c1d-9a3e-0d3c5a3f9d10", [entry]),
    // @ts-expect-error a workspace is no agent
    add(workspace, [entry]),
    // @ts-expect-error entries come in a list
    add(agent, entry),
    // @ts-expect-error an entry has a time
    add(agent, [{ key: "cpu", value: "12 %", error: "" }]),
    // @ts-expect-error a time is one of Effect
    add(agent, [{ ...entry, collectedAt: "1970-01-01T00:00:00Z" }]),
    // @ts-expect-error a value is text
    add(agent, [{ ...entry, value: 12 }])
  ])
})

// --- stores ---

class Other extends Data.TaggedError("Other") {}

export const stores = [
  // @ts-expect-error a store reads too
  Layer.succeed(MetadataStore.MetadataStore, { updateBatch: () => Effect.succeed([]) }),
  Layer.succeed(MetadataStore.MetadataStore, {
    // @ts-expect-error a store fails as stores do
    updateBatch: () => Effect.fail(new Other()),
    read: () => Effect.succeed([])
  }),
  Layer.succeed(MetadataStore.MetadataStore, {
    // @ts-expect-error a store returns the agents that changed
    updateBatch: () => Effect.void,
    read: () => Effect.succeed([])
  }),
  // @ts-expect-error a failure has one of three reasons
  new MetadataStore.MetadataStoreError({ reason: "broken", cause: undefined })
]

// --- the generic batcher ---

const sums = Accumulator.keyed({
  key: (one: { url: string; count: number }) => one.url,
  merge: (older, newer) => ({ url: newer.url, count: older.count + newer.count })
})

export const rule = Accumulator.keyed({
  key: (one: { url: string; count: number }) => one.url,
  // @ts-expect-error two updates merge into an update
  merge: (older, newer) => older.count + newer.count
})

export const pairs = Accumulator.keyed({
  // @ts-expect-error two arrays are never the same key
  key: (one: { url: string; count: number }) => [one.url, one.count],
  merge: (_, newer) => newer
})

const counting = Batcher.make({ accumulator: sums, write: () => Effect.void })

export const batchers = [
  Effect.flatMap(counting, ({ add }) => add([{ url: "/", count: 1 }])),
  // @ts-expect-error an update of another kind
  Effect.flatMap(counting, ({ add }) => add([{ url: "/" }])),
  // @ts-expect-error nothing writes
  Batcher.make({ accumulator: sums }),
  // @ts-expect-error nothing merges
  Batcher.make({ write: () => Effect.void })
]

// @ts-expect-error a batcher lives in a scope
export const unscoped: Effect.Effect<Batcher.Batcher<{ url: string; count: number }>> = counting

// @ts-expect-error a need of write is a need of make
export const ungrounded: Effect.Effect<unknown, never, Scope.Scope> = Batcher.make({
  accumulator: sums,
  write: () => MetadataStore.MetadataStore.use(({ updateBatch }) => updateBatch([]))
})

class Mail extends Context.Service<Mail, { readonly send: Effect.Effect<void> }>()("app/Mail") {}

const observing = Batcher.make({
  accumulator: sums,
  write: () => MetadataStore.MetadataStore.use(({ updateBatch }) => updateBatch([])),
  observer: { onClosed: () => Mail.use(({ send }) => send) }
})

// the needs of the observer are needs of make, beside those of write
export const grounded: Effect.Effect<unknown, never, Mail | MetadataStore.MetadataStore | Scope.Scope> = observing
// @ts-expect-error nobody provides the mail
export const withoutMail: Effect.Effect<unknown, never, MetadataStore.MetadataStore | Scope.Scope> = observing
