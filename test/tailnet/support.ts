/** Peers that a test speaks for. */
import { Effect, Exit, Metric, Queue, Scope } from "effect"
import * as Crypto from "node:crypto"
import * as Authority from "../../src/tailnet/Authority.ts"
import { Coordinator, type PeerStream } from "../../src/tailnet/Coordinator.ts"
import type { DerpMap } from "../../src/tailnet/DerpMap.ts"
import { type Node, PeerId, type Request, type Response } from "../../src/tailnet/Peer.ts"
import { AgentId } from "../../src/domain/Ids.ts"

export const newPeerId = (): PeerId => PeerId.make(Crypto.randomUUID())

export const agentIdOf = (id: PeerId): AgentId => AgentId.make(id)

/** A node that is told apart by its text; `time` is what the peer says of when it took it. */
export const node = (text: string, time = "", addresses: ReadonlyArray<string> = []): Node => ({
  bytes: Buffer.from(`${text}@${time}`),
  withoutTime: Buffer.from(text),
  addresses,
  allowedIps: []
})

export const textOf = ({ bytes }: Node): string => Buffer.from(bytes).toString().replace(/@.*/, "")

/** An update or an error as a line of text, with peers by the names that the test gives them. */
export const described = (response: Response, nameOf: (id: PeerId) => string): ReadonlyArray<string> =>
  response.error !== undefined
    ? [`error: ${response.error}`]
    : response.updates.map(({ id, kind, node, reason }) =>
        [
          kind,
          nameOf(id),
          ...(node === undefined ? [] : [textOf(node)]),
          ...(reason === "" ? [] : [`(${reason})`])
        ].join(" ")
      )

/** The map that the recorded servers sent. */
export const recordedMap: DerpMap = {
  HomeParams: {},
  Regions: {
    "999": {
      EmbeddedRelay: true,
      RegionID: 999,
      RegionCode: "coder",
      RegionName: "Coder Embedded Relay",
      Nodes: [{ Name: "999b", RegionID: 999, HostName: "127.0.0.1", STUNPort: -1, DERPPort: 8080, ForceHTTP: true }]
    }
  }
}

export interface TestPeer {
  readonly id: PeerId
  readonly send: PeerStream["send"]
  readonly refuse: PeerStream["refuse"]
  readonly update: (text: string, time?: string) => Effect.Effect<void>
  readonly addTunnel: (to: TestPeer | PeerId) => Effect.Effect<void>
  readonly removeTunnel: (to: TestPeer) => Effect.Effect<void>
  readonly disconnect: Effect.Effect<void>
  /** Ends the stream without a disconnect. */
  readonly leave: Effect.Effect<void>
  /** The responses that are here already, as lines. */
  readonly received: Effect.Effect<ReadonlyArray<string>>
  /** The same as they came. */
  readonly responsesNow: Effect.Effect<ReadonlyArray<Response>>
  /** The next line. */
  readonly next: Effect.Effect<string>
  /** Whether the coordinator has ended the stream, once all responses are read. */
  readonly isOver: Effect.Effect<boolean>
}

export interface Options {
  readonly id?: PeerId
  readonly authority?: Authority.Authority
}

const names = new Map<PeerId, string>()

export const nameOf = (id: PeerId): string => names.get(id) ?? id

/** A peer with a stream of `coordinator`. Updates call it by `name`. */
export const connectTo = Effect.fnUntraced(function* (
  coordinator: Coordinator["Service"],
  name: string,
  { authority = Authority.all, id = newPeerId() }: Options = {}
) {
  names.set(id, name)
  const { close, stream } = yield* detached(coordinator.connect({ id, name, authority }))
  const lines: Array<string> = []
  const idOf = (peer: TestPeer | PeerId) => (typeof peer === "string" ? peer : peer.id)
  const send = (request: Request) => stream.send(request)
  const read = Effect.map(Queue.clear(stream.responses), (responses) => {
    lines.push(...responses.flatMap((response) => described(response, nameOf)))
    return lines.splice(0)
  })
  const next: Effect.Effect<string> = Effect.suspend(() => {
    const line = lines.shift()
    if (line !== undefined) return Effect.succeed(line)
    return Effect.matchEffect(Queue.take(stream.responses), {
      onFailure: () => Effect.succeed("the end"),
      onSuccess: (response) => {
        lines.push(...described(response, nameOf))
        return next
      }
    })
  })
  const peer: TestPeer = {
    id,
    send,
    refuse: stream.refuse,
    update: (text, time) => send({ updateSelf: node(text, time) }),
    addTunnel: (to) => send({ addTunnel: idOf(to) }),
    removeTunnel: (to) => send({ removeTunnel: to.id }),
    disconnect: send({ disconnect: true }),
    leave: close,
    received: read,
    responsesNow: Queue.clear(stream.responses),
    next,
    isOver: Effect.sync(() => stream.responses.state._tag === "Done")
  }
  return peer
})

/** The same in the context's coordinator. */
export const connect = (name: string, options?: Options) =>
  Coordinator.use((coordinator) => connectTo(coordinator, name, options))

/** A stream that the test can end before its own scope closes. */
const detached = Effect.fnUntraced(function* (open: ReturnType<Coordinator["Service"]["connect"]>) {
  const scope = yield* Scope.make()
  const stream = yield* Scope.provide(open, scope)
  const close = Scope.close(scope, Exit.void)
  yield* Effect.addFinalizer(() => close)
  return { close, stream }
})

/** By how much a counter grows meanwhile. */
export const counting = Effect.fnUntraced(function* <A, E, R>(
  metric: Metric.Counter<number>,
  self: Effect.Effect<A, E, R>
) {
  const { count } = yield* Metric.value(metric)
  yield* self
  return (yield* Metric.value(metric)).count - count
})
