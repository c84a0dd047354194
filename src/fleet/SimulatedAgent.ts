/**
 * Simulates an agent that behaves like a real one, with random values.
 *
 * - The agent connects with its token, and tries again about a second after its connection broke or was refused, however
 *   often that has happened.
 * - While it is connected, the agent behaves as {@link SimulatedLife} describes.
 * - The agent runs until it is interrupted, and then shuts down if it is connected. It notifies its observer.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { type Duration, Effect, Latch, Layer, Queue, Redacted, Schedule } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import * as Token from "../access/Token.ts"
import { AgentApi } from "../agentapi/AgentApi.ts"
import * as ApiVersion from "../agentapi/ApiVersion.ts"
import { path, subprotocol } from "../agentapi/AgentSocketApi.ts"
import * as OriginalSerialization from "./OriginalSerialization.ts"
import * as SimulatedLife from "./SimulatedLife.ts"

export interface Options extends SimulatedLife.Options {
  /** The address of the service, as `http://…`. */
  readonly url: string
  readonly token: Token.Token
  /** How long after it connected the agent leaves and comes back although nothing is wrong. Default never. */
  readonly reconnectAfter?: Duration.Duration | undefined
  /** The protocol of its connection. Default: the contract in JSON. */
  readonly protocol?: Protocol | undefined
  readonly observer: Observer
}

/** The contract in JSON, or the original's protocol. */
export const protocols = ["json", "original"] as const
export type Protocol = (typeof protocols)[number]

/** Receives the events of an agent. */
export interface Observer extends SimulatedLife.Observer {
  readonly onConnect: () => void
  readonly onDisconnect: () => void
}

export const run = (options: Options) =>
  options.reconnectAfter === undefined
    ? Effect.flatMap(Latch.make(), (connected) => Effect.scoped(live(options, connected)))
    : Effect.forever(stay(options, options.reconnectAfter))

/** Runs the agent until `duration` after it has connected, however long connecting takes. */
const stay = Effect.fnUntraced(function* (options: Options, duration: Duration.Duration) {
  const connected = yield* Latch.make()
  yield* Effect.raceFirst(
    Effect.scoped(live(options, connected)),
    Effect.andThen(connected.await, Effect.sleep(duration))
  )
})

/**
 * Runs an agent from its creation to its shutdown, over any number of connections. Opens the latch at the first one.
 */
const live = Effect.fnUntraced(function* (options: Options, connected: Latch.Latch) {
  const { observer } = options
  // one element for each connection and for each disconnection
  const changes = yield* Queue.unbounded<void>()
  let isConnected = false
  // a failed attempt to connect calls onDisconnect as well
  const hooks = Layer.succeed(RpcClient.ConnectionHooks, {
    onConnect: Effect.sync(() => {
      isConnected = true
      observer.onConnect()
      connected.openUnsafe()
      Queue.offerUnsafe(changes, undefined)
    }),
    onDisconnect: Effect.sync(() => {
      if (!isConnected) return
      isConnected = false
      observer.onDisconnect()
      Queue.offerUnsafe(changes, undefined)
    })
  })
  const client = yield* Effect.provideContext(
    RpcClient.make(AgentApi),
    yield* Layer.build(Layer.provide(protocol(options), hooks))
  )
  const life = yield* SimulatedLife.make(options, client)

  const change = Queue.take(changes)
  return yield* Effect.andThen(change, Effect.raceFirst(life.live, change)).pipe(
    Effect.forever,
    Effect.onInterrupt(() => Effect.suspend(() => (isConnected ? life.leave : Effect.void)))
  )
})

const protocol = ({ observer, protocol = "json", token, url }: Options) =>
  RpcClient.layerProtocolSocket({
    retryTransientErrors: true,
    // a back-off of the library would never begin anew
    retryPolicy: Schedule.jittered(Schedule.spaced("1 second")),
    onTransientError: ({ reason }) => Effect.sync(() => observer.onError(`connecting: ${reason._tag}`)),
    pingInterval: protocol === "json" ? "15 seconds" : "5 seconds"
  }).pipe(
    Layer.provide([
      protocol === "json"
        ? RpcSerialization.layerJson
        : Layer.succeed(RpcSerialization.RpcSerialization, OriginalSerialization.serialization),
      NodeSocket.layerWebSocket(`${url.replace(/^http/, "ws")}${path}?${parameters}`, {
        headers: { [Token.header]: Redacted.value(token) },
        ...(protocol === "json" ? { protocols: subprotocol } : {})
      })
    ])
  )

const parameters = new URLSearchParams({ version: ApiVersion.format(ApiVersion.current), role: "agent" })
