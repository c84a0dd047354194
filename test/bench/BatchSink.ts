/**
 * Where batches end that nobody writes: it looks at every row once, as the announcement of changed agents wants it, and
 * packs the agents as they would be published. So what a contestant hands over is worth a write, and costs the same.
 */
import { Effect, Layer, Stream } from "effect"
import * as AgentIdChunks from "../../src/batcher/AgentIdChunks.ts"
import { MetadataStore } from "../../src/batcher/MetadataStore.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { MetadataRow } from "../../src/domain/Metadata.ts"
import { PubSub } from "../../src/pubsub/PubSub.ts"

export interface BatchSink {
  /** Takes a batch and answers its agents. */
  readonly write: (rows: ReadonlyArray<MetadataRow>) => ReadonlyArray<AgentId>
  readonly publish: (payload: string) => void
  /** Both, for those who leave everything to the sink. */
  readonly writeAndPublish: (rows: ReadonlyArray<MetadataRow>) => void
  readonly written: () => Written
}

export interface Written {
  readonly batches: number
  readonly rows: number
  readonly published: number
  /** The largest heap seen, young garbage included, in bytes. */
  readonly peakHeap: number
}

/** Batches between two looks at the heap, which cost some microseconds each. */
const heapEvery = 50

export const make = (): BatchSink => {
  let batches = 0
  let rows = 0
  let published = 0
  let peakHeap = 0

  const write: BatchSink["write"] = (batch) => {
    if (batches++ % heapEvery === 0) peakHeap = Math.max(peakHeap, process.memoryUsage().heapUsed)
    rows += batch.length
    const agents = new Set<AgentId>()
    let last: AgentId | undefined
    for (const { agentId } of batch) if (agentId !== last) agents.add((last = agentId))
    return [...agents]
  }
  const publish = (payload: string) => {
    published += payload.length
  }
  return {
    write,
    publish,
    writeAndPublish: (batch) => AgentIdChunks.encode(write(batch)).forEach(publish),
    written: () => ({ batches, rows, published, peakHeap })
  }
}

/** The sink as what a metadata batcher writes to. */
export const layer = (sink: BatchSink): Layer.Layer<MetadataStore | PubSub> =>
  Layer.merge(
    Layer.succeed(MetadataStore, {
      updateBatch: (rows) => Effect.sync(() => sink.write(rows)),
      read: () => Effect.succeed([])
    }),
    Layer.succeed(PubSub, {
      publish: (_, payload) => Effect.sync(() => sink.publish(payload)),
      subscribe: () => Stream.never
    })
  )
