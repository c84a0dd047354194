/**
 * The shell around the core of a coordinator: streams with bounded queues, authority, limits and counters.
 *
 * A transition of the core and the delivery of what comes of it are one step, in which nothing else happens. A peer whose
 * queue is full is closed in the same step.
 */
import { type Cause, Clock, Effect, type Metric, Queue, type Scope } from "effect"
import * as MonotonicClock from "../../platform/MonotonicClock.ts"
import type { Authority } from "../Authority.ts"
import { errors, type Node, type PeerId, type Request, type Response, toError } from "../Peer.ts"
import * as Metrics from "../TailnetMetrics.ts"
import { type Core, LocalPeer, type Outputs } from "./core.ts"

export interface Peer {
  readonly id: PeerId
  /** For logs and for people: who this is. */
  readonly name: string
  readonly authority: Authority
}

/** The stream of a peer. It is over when its responses have ended. */
export interface PeerStream {
  /** Makes a request, and returns when it has taken effect. Requests of a stream that is over have no effect. */
  readonly send: (request: Request) => Effect.Effect<void>
  /** Ends the stream with an error text, because a request is malformed; the peer is lost to its partners. */
  readonly refuse: (error: string) => Effect.Effect<void>
  readonly responses: Queue.Dequeue<Response, Cause.Done>
}

/** A view of a peer, for people. */
export interface PeerView {
  readonly id: PeerId
  readonly name: string
  /** In milliseconds since the epoch. */
  readonly connectedAt: number
  readonly hasNode: boolean
  readonly partners: ReadonlyArray<PeerId>
}

export interface Options {
  /** Responses that wait for a peer before its stream is closed. Default 512. */
  readonly maxResponses?: number | undefined
  /** Tunnels that one peer may have. Default 10 000. */
  readonly maxTunnels?: number | undefined
  /** Bytes of a node. Default 64 KiB. */
  readonly maxNodeBytes?: number | undefined
  /** Requests that a peer may make in a second, and at once after a pause. Default 200. */
  readonly maxRequestRate?: number | undefined
}

export interface Streams {
  readonly connect: (peer: Peer) => Effect.Effect<PeerStream, never, Scope.Scope>
  readonly peer: (id: PeerId) => Effect.Effect<PeerView | undefined>
  /** Delivers what comes of a transition that the shell did not make itself. */
  readonly deliverUnsafe: (outputs: Outputs) => void
}

type Responses = Queue.Queue<Response, Cause.Done>

/** `onChange` is called after each transition. The end of the scope closes all streams. */
export const make = Effect.fnUntraced(function* (
  core: Core,
  options: Options = {},
  onChange: () => void = () => {}
): Effect.fn.Return<Streams, never, Scope.Scope> {
  const { maxNodeBytes = 65_536, maxRequestRate = 200, maxResponses = 512, maxTunnels = 10_000 } = options
  const context = yield* Effect.context<never>()
  const clock = yield* Clock.Clock
  const queues = new Map<LocalPeer, Responses>()
  let isClosed = false
  yield* Metrics.register

  const countUnsafe = (metric: Metric.Counter<number>) => metric.updateUnsafe(1, context)

  const offer = (queue: Responses, response: Response) => {
    Queue.offerUnsafe(queue, response)
    for (const { kind } of response.updates) countUnsafe(Metrics.updates[kind])
  }

  /** Whether a response is the error with which a stream ends. Other errors wait for the peer as updates do. */
  const isLast = ({ response, to }: { readonly response: Response; readonly to: LocalPeer }) =>
    response.error !== undefined && !core.isOpen(to)

  const deliverUnsafe = (outputs: Outputs): void => {
    const left = [...outputs].reverse()
    for (let output = left.pop(); output !== undefined; output = left.pop()) {
      const queue = queues.get(output.to)
      if (queue === undefined) continue
      if ("end" in output) {
        queues.delete(output.to)
        Queue.endUnsafe(queue)
        countUnsafe(Metrics.streamsEnded[output.end])
      } else if (Queue.sizeUnsafe(queue) >= maxResponses && !isLast(output)) {
        left.push(...core.overflow(output.to).reverse())
      } else {
        offer(queue, output.response)
      }
    }
    const { peers, tunnels } = core.sizes()
    Metrics.peers.updateUnsafe(peers, context)
    Metrics.tunnels.updateUnsafe(tunnels, context)
    onChange()
  }

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      deliverUnsafe(core.close(errors.closed, "closed"))
    })
  )

  const refused = (peer: LocalPeer, reason: keyof typeof Metrics.refusals, error: string) =>
    Effect.suspend(() => {
      if (!core.isOpen(peer)) return Effect.void
      countUnsafe(Metrics.refusals[reason])
      deliverUnsafe([{ to: peer, response: toError(error) }, ...core.lose(peer, "refused")])
      return Effect.annotateLogs(Effect.logInfo("a request of a peer was refused"), {
        peerId: peer.id,
        peer: peer.name,
        reason,
        detail: error
      })
    })

  const tooLarge = (node: Node | undefined) => node !== undefined && node.bytes.length > maxNodeBytes

  const connect = Effect.fnUntraced(function* ({ authority, id, name }: Peer) {
    const queue = yield* Queue.unbounded<Response, Cause.Done>()
    const peer = new LocalPeer(id, name, clock.currentTimeMillisUnsafe())
    const stream = (send: PeerStream["send"]): PeerStream => ({
      send,
      refuse: (error) => refused(peer, "malformed", error),
      responses: queue
    })
    if (isClosed) {
      Queue.offerUnsafe(queue, toError(errors.closed))
      Queue.endUnsafe(queue)
      return stream(() => Effect.void)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        queues.set(peer, queue)
        deliverUnsafe(core.open(peer))
      }),
      () => Effect.sync(() => deliverUnsafe(core.lose(peer, "lost")))
    )

    const pace = makePace(clock, maxRequestRate, () => countUnsafe(Metrics.throttled))
    return stream((request) =>
      Effect.andThen(
        pace,
        Effect.suspend(() => {
          if (!core.isOpen(peer)) return Effect.void
          if (tooLarge(request.updateSelf)) {
            return refused(peer, "node_too_large", `a node may have ${maxNodeBytes} bytes at most`)
          }
          if (
            request.addTunnel !== undefined &&
            core.tunnelsFrom(id) >= maxTunnels &&
            !core.hasTunnel(id, request.addTunnel)
          ) {
            return refused(peer, "too_many_tunnels", `a peer may have ${maxTunnels} tunnels at most`)
          }
          return Effect.matchEffect(authority.authorize(request), {
            onFailure: ({ detail }) => refused(peer, "authorization", errors.authorization(detail)),
            onSuccess: () => Effect.sync(() => take(core, deliverUnsafe, peer, request))
          })
        })
      )
    )
  })

  return {
    connect,
    deliverUnsafe,
    peer: (id) => Effect.sync(() => viewOf(core, id))
  }
})

/** Makes the transitions of a request, and delivers each before the next one. */
const take = (core: Core, deliver: Streams["deliverUnsafe"], peer: LocalPeer, request: Request) => {
  if (request.updateSelf !== undefined) deliver(core.updateNode(peer, request.updateSelf))
  if (request.addTunnel !== undefined) deliver(core.addTunnel(peer, request.addTunnel))
  if (request.removeTunnel !== undefined) deliver(core.removeTunnel(peer, request.removeTunnel))
  if (request.disconnect === true) deliver(core.disconnect(peer))
  if (request.readyForHandshake !== undefined && request.readyForHandshake.length > 0) {
    deliver(core.ready(peer, request.readyForHandshake))
  }
}

const viewOf = (core: Core, id: PeerId): PeerView | undefined => {
  const peer = core.find(id)
  if (peer === undefined) return undefined
  return {
    id,
    name: peer.name,
    connectedAt: peer.startedAt,
    hasNode: peer.node !== undefined,
    partners: [...core.partnersOf(id)]
  }
}

/** Waits while a peer is ahead of its rate by more than a second's worth of requests, and counts a request. */
const makePace = (clock: Clock.Clock, perSecond: number, onWait: () => void): Effect.Effect<void> => {
  const interval = 1_000 / perSecond
  let theoreticalArrival = 0
  return Effect.suspend(() => {
    const now = MonotonicClock.millisUnsafe(clock)
    theoreticalArrival = Math.max(theoreticalArrival, now) + interval
    const ahead = theoreticalArrival - now - 1_000
    if (ahead <= 0) return Effect.void
    onWait()
    return Effect.sleep(ahead)
  })
}
