/**
 * A client of the agent API for programs that report: it makes the calls of the contract, in JSON over one WebSocket.
 *
 * - The connection ends with the layer. A broken connection is made again, and its running calls fail.
 * - The pauses between attempts to connect grow from half a second to five seconds, by a half each and varied by a fifth.
 *   They begin anew after a connection of five seconds or more.
 * - The client sends `version` and `role` to the service when it connects.
 *
 * @example
 * ```ts
 * import { Config, Console, Effect, Layer } from "effect"
 * import * as AgentClient from "metadata-batcher/AgentClient"
 *
 * const Client = Layer.unwrap(
 *   Effect.gen(function* () {
 *     const url = yield* Config.String("CODER_AGENT_URL")
 *     return AgentClient.layer({ url, token: yield* Config.Redacted("CODER_AGENT_TOKEN") })
 *   })
 * )
 * const program = Effect.gen(function* () {
 *   const client = yield* AgentClient.AgentClient
 *   yield* client.BatchUpdateMetadata({ metadata: [{ key: "cpu", result: { value: "12 %" } }] })
 *   yield* Console.log("reported")
 * })
 * await Effect.runPromise(Effect.provide(program, Client))
 * // Output:
 * // reported
 * ```
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Context, Duration, Effect, Layer, Redacted, Schedule } from "effect"
import { RpcClient, type RpcClientError, type RpcGroup, RpcSerialization } from "effect/rpc"
import * as Token from "../access/Token.ts"
import { AgentApi } from "./AgentApi.ts"
import * as MonotonicClock from "../platform/MonotonicClock.ts"
import { path, subprotocol } from "./AgentSocketApi.ts"
import * as ApiVersion from "./ApiVersion.ts"

/** The service and how an agent identifies itself. */
export interface Options {
  /** The address of the service, such as `https://metadata.example.org`. */
  readonly url: string
  /** The token of the agent. */
  readonly token: Redacted.Redacted<string> | string
  /** Default: the version of this package. */
  readonly version?: string | undefined
  /** Connection times are recorded for the role `agent` alone. Default `agent`. */
  readonly role?: string | undefined
  /** Runs when a connection ends, and when an attempt to connect fails. Default: nothing. */
  readonly onDisconnect?: Effect.Effect<void> | undefined
}

/** The calls of an agent, each under its name in the contract, such as `BatchUpdateMetadata`. */
export class AgentClient extends Context.Service<
  AgentClient,
  RpcClient.RpcClient<RpcGroup.Rpcs<typeof AgentApi>, RpcClientError.RpcClientError>
>()("metadata-batcher/agentapi/AgentClient") {}

/** Returns a client that is connected for the lifetime of the layer. */
export const layer = ({
  onDisconnect = Effect.void,
  role = "agent",
  token,
  url,
  version
}: Options): Layer.Layer<AgentClient> => {
  const parameters = new URLSearchParams({ version: version ?? ApiVersion.format(ApiVersion.current), role })
  const socket = NodeSocket.layerWebSocket(`${url.replace(/^http/, "ws")}${path}?${parameters}`, {
    headers: { [Token.header]: Redacted.isRedacted(token) ? Redacted.value(token) : token },
    protocols: subprotocol
  })
  return Layer.effect(AgentClient, Effect.map(RpcClient.make(AgentApi), AgentClient.of)).pipe(
    Layer.provide(protocol(onDisconnect)),
    Layer.provide([RpcSerialization.layerJson, socket])
  )
}

const protocol = (onDisconnect: Effect.Effect<void>) =>
  Layer.suspend(() => {
    // a policy that grows by itself would go on growing for the life of the client, whatever it has connected in between
    let failures = 0
    let connectedAt = Infinity
    const onConnect = Effect.map(MonotonicClock.millis, (now) => void (connectedAt = now))
    const pause = Effect.map(MonotonicClock.millis, (now) => {
      if (now - connectedAt >= longestPause) failures = 0
      connectedAt = Infinity
      return Duration.millis(Math.min(500 * 1.5 ** failures++, longestPause))
    })
    return RpcClient.layerProtocolSocket({
      retryTransientErrors: true,
      retryPolicy: Schedule.jittered(Schedule.modifyDelay(Schedule.forever, () => pause))
    }).pipe(Layer.provide(Layer.succeed(RpcClient.ConnectionHooks, { onConnect, onDisconnect })))
  })

/** In milliseconds. */
const longestPause = 5_000
