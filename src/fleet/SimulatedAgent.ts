/**
 * An agent that behaves like a real one and makes its values up.
 *
 * - It connects with its token, and connects again when the connection breaks, with growing pauses.
 * - While it is connected it lives as {@link SimulatedLife} says.
 * - It lives until it is interrupted, takes its leave where it can, and tells its observer what happens.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { type Duration, Effect, Layer, Queue, Redacted } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import * as Token from "../access/Token.ts"
import { AgentApi } from "../agentapi/AgentApi.ts"
import * as ApiVersion from "../agentapi/ApiVersion.ts"
import { path } from "../agentapi/AgentSocketApi.ts"
import * as SimulatedLife from "./SimulatedLife.ts"

export interface Options extends SimulatedLife.Options {
  /** The address of the service, as `http://…`. */
  readonly url: string
  readonly token: Token.Token
  /** When to leave and come back although nothing is wrong; by default never. */
  readonly reconnectAfter?: Duration.Duration | undefined
  readonly observer: Observer
}

/** Is told what happens to an agent. */
export interface Observer {
  readonly onConnect: () => void
  readonly onDisconnect: () => void
  /** A call was accepted. */
  readonly onCall: (call: SimulatedLife.Call) => void
  /** A call, or an attempt to connect, has failed. */
  readonly onError: () => void
}

export const run = (options: Options) => {
  const life = Effect.scoped(live(options))
  return options.reconnectAfter === undefined
    ? life
    : Effect.forever(Effect.timeoutOption(life, options.reconnectAfter))
}

/** From coming to be to shutting down, over as many connections as it takes. */
const live = Effect.fnUntraced(function* (options: Options) {
  const { observer } = options
  // each connection and its end
  const changes = yield* Queue.unbounded<void>()
  let isConnected = false
  // an attempt to connect that fails ends in a disconnection too
  const hooks = Layer.succeed(RpcClient.ConnectionHooks, {
    onConnect: Effect.sync(() => {
      isConnected = true
      observer.onConnect()
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

const protocol = ({ observer, token, url }: Options) =>
  RpcClient.layerProtocolSocket({
    retryTransientErrors: true,
    onTransientError: () => Effect.sync(observer.onError),
    pingInterval: "15 seconds"
  }).pipe(
    Layer.provide([
      RpcSerialization.layerJson,
      NodeSocket.layerWebSocket(`${url.replace(/^http/, "ws")}${path}?${parameters}`, {
        headers: { [Token.header]: Redacted.value(token) }
      })
    ])
  )

const parameters = new URLSearchParams({ version: ApiVersion.format(ApiVersion.current), role: "agent" })
