/**
 * Tells peers how to reach each other: the port, and its implementation within one process.
 *
 * - A peer learns of the peers that it shares a tunnel with, and of no others.
 * - A peer that ends its stream without a disconnect is `lost` to its partners; only a disconnect makes it
 *   `disconnected`.
 * - A peer gets each node once, and no `lost` or `disconnected` of a peer whose node it never got.
 * - Requests of one peer take effect in their order.
 * - A peer that does not read is closed when 512 responses wait for it. Nobody waits for a slow peer.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { MemoryCore } from "./internal/memoryCore.ts"
import * as Streams from "./internal/streams.ts"
import type { PeerId } from "./Peer.ts"

export type { Options, Peer, PeerStream, PeerView } from "./internal/streams.ts"

export class Coordinator extends Context.Service<
  Coordinator,
  {
    /**
     * Opens the stream of a peer. The end of the scope ends the stream. A second stream of the same id ends the first
     * one, of which partners learn nothing.
     */
    readonly connect: (peer: Streams.Peer) => Effect.Effect<Streams.PeerStream, never, Scope.Scope>
    /** A view, for people, of a peer that has a stream here. */
    readonly peer: (id: PeerId) => Effect.Effect<Streams.PeerView | undefined>
  }
>()("metadata-batcher/tailnet/Coordinator") {}

/** A coordinator within this process. The end of the scope closes all streams. */
export const make = Effect.fnUntraced(function* (
  options: Streams.Options = {}
): Effect.fn.Return<Coordinator["Service"], never, Scope.Scope> {
  return yield* Streams.make(new MemoryCore(), options)
})

/** Coordinates the peers of this process. */
export const layerMemory = (options?: Streams.Options): Layer.Layer<Coordinator> =>
  Layer.effect(Coordinator, make(options))
