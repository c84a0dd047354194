/** A program for every runtime: it batches bytes and rows, announces, and returns the result. */
import { Console, DateTime, Effect, Fiber, Layer, Stream } from "effect"
import { Accumulator, AgentIdChunks, Batcher, Ids, MetadataBatcher, MetadataStore, PubSub } from "metadata-batcher"

const batches = Effect.gen(function* () {
  const written: Array<string> = []
  const batcher = yield* Batcher.make({
    accumulator: Accumulator.fifo<string>(),
    maxBatchSize: 2,
    maxBatchBytes: 3,
    sizeOf: (text) => text.length,
    write: (batch) => Effect.sync(() => written.push(batch.join(" ")))
  })
  yield* batcher.add(["a", "b", "ccc"])
  yield* batcher.flush
  return written
})

const agent = Ids.AgentId.make("fbefbe00-ffff-4fff-bfff-00ffeeddccbb")

const announcement = Effect.gen(function* () {
  const batcher = yield* MetadataBatcher.MetadataBatcher
  const announced = yield* PubSub.messages(MetadataBatcher.channel).pipe(
    Stream.take(1),
    Stream.runCollect,
    Effect.forkChild({ startImmediately: true })
  )
  yield* batcher.add(agent, [{ key: "größe", value: "12 %", error: "", collectedAt: yield* DateTime.now }])
  const { written } = yield* batcher.flush
  const [payload] = yield* Fiber.join(announced)
  return [written, payload, AgentIdChunks.has(payload!, agent)]
})

const Batching = MetadataBatcher.layer({ maxBatchBytes: 1_000 }).pipe(
  Layer.provideMerge(Layer.merge(MetadataStore.layerMemory, PubSub.layerMemory))
)

export const run = () =>
  Effect.runPromise(
    Effect.all([batches, Effect.provide(announcement, Batching)]).pipe(
      Effect.scoped,
      Effect.map((results) => JSON.stringify(results))
    )
  )

if (import.meta.main) void Effect.runPromise(Effect.flatMap(Effect.promise(run), Console.log))
