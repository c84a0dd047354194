/**
 * A store that writes nothing: it reads each row once, as the announcement of changed agents does, and packs the
 * agents as they would be published. So a batch costs each contestant the same.
 */
import { Effect, Layer, Stream } from "effect"
import * as AgentIdChunks from "../../src/metadata/AgentIdChunks.ts"
import { make as makeStore, MetadataStore } from "../../src/metadata/MetadataStore.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { MetadataRow } from "../../src/domain/Metadata.ts"
import { PubSub } from "../../src/pubsub/PubSub.ts"

export interface BatchSink {
  /** Succeeds when it is time to write. */
  readonly ready: Effect.Effect<void>
  /** Takes a batch and returns its agents. */
  readonly write: (rows: ReadonlyArray<MetadataRow>) => ReadonlyArray<AgentId>
  readonly publish: (payload: string) => void
  readonly written: () => Written
}

/** So far. */
export interface Written {
  readonly batches: number
  readonly rows: number
  readonly published: number
}

/** A sink that is always ready, unless it is told when. */
export const make = (ready: Effect.Effect<void> = Effect.void): BatchSink => {
  let batches = 0
  let rows = 0
  let published = 0
  return {
    ready,
    write: (batch) => {
      batches++
      rows += batch.length
      const agents = new Set<AgentId>()
      let last: AgentId | undefined
      for (const { agentId } of batch) if (agentId !== last) agents.add((last = agentId))
      return [...agents]
    },
    publish: (payload) => {
      published += payload.length
    },
    written: () => ({ batches, rows, published })
  }
}

/** Writes and publishes at once, for those who cannot wait. */
export const writeNow = (sink: BatchSink, rows: ReadonlyArray<MetadataRow>): void =>
  AgentIdChunks.encode(sink.write(rows)).forEach(sink.publish)

/** The sink as what a metadata batcher writes to. */
export const layer = (sink: BatchSink): Layer.Layer<MetadataStore | PubSub> =>
  Layer.merge(
    Layer.succeed(
      MetadataStore,
      makeStore({
        updateBatch: (rows) => Effect.map(sink.ready, () => sink.write(rows)),
        read: () => Effect.succeed([])
      })
    ),
    Layer.succeed(PubSub, {
      publish: (_, payload) => Effect.sync(() => sink.publish(payload)),
      subscribe: () => Stream.never
    })
  )
