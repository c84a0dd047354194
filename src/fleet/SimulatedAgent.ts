/**
 * An agent that behaves like a real one and makes its values up.
 *
 * - It connects with its token, and connects again when the connection breaks, with growing pauses.
 * - It reports all its keys at an interval that is off by a random part of itself each time, so that a fleet spreads.
 * - It lives until it is interrupted, and tells its observer what happens.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Duration, Effect, Layer, Random, Redacted } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import * as Token from "../access/Token.ts"
import { AgentApi } from "../agentapi/AgentApi.ts"
import { path } from "../agentapi/ConnectApi.ts"
import type { MetadataDeclaration } from "../http/AdminApi.ts"
import * as Workday from "./Workday.ts"

export interface Options {
  /** The address of the service, as `http://…`. */
  readonly url: string
  readonly token: Token.Token
  readonly keys: ReadonlyArray<string>
  /** The time between two reports. */
  readonly interval: Duration.Duration
  /** How far a pause may be from the interval, as a part of it. */
  readonly jitter: number
  /** When to leave and come back although nothing is wrong; by default never. */
  readonly reconnectAfter?: Duration.Duration | undefined
  /** Whether it also starts, logs and has visitors. Default: no. */
  readonly isLively?: boolean | undefined
  readonly observer: Observer
}

/** Is told what happens to an agent. */
export interface Observer {
  readonly onConnect: () => void
  readonly onDisconnect: () => void
  readonly onReport: () => void
  readonly onError: () => void
}

export const run = Effect.fnUntraced(function* (options: Options) {
  const { interval, jitter, keys, observer } = options
  const pause = Effect.flatMap(Random.nextBetween(1 - jitter, 1 + jitter), (factor) =>
    Effect.sleep(Duration.times(interval, factor))
  )

  const report = Effect.fnUntraced(function* (client: RpcClient.FromGroup<typeof AgentApi, unknown>) {
    const metadata = yield* Effect.forEach(keys, sample)
    yield* client.BatchUpdateMetadata({ metadata })
  })

  const connected = Effect.gen(function* () {
    const client = yield* RpcClient.make(AgentApi)
    if (options.isLively === true) yield* Effect.forkScoped(Workday.run(client))
    // the first report is as far off as any other, so that agents that start together part ways
    yield* Effect.sleep(Duration.times(interval, yield* Random.next))
    return yield* report(client).pipe(
      Effect.match({ onFailure: observer.onError, onSuccess: observer.onReport }),
      Effect.andThen(pause),
      Effect.forever
    )
  }).pipe(Effect.provide(protocol(options)), Effect.scoped)

  return yield* options.reconnectAfter === undefined
    ? connected
    : Effect.forever(Effect.timeoutOption(connected, options.reconnectAfter))
})

/** The keys of an agent that has so many. */
export const keys = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => signals[index] ?? `signal_${index}`)

/** What an agent with these keys declares. */
export const declarations = (
  keys: ReadonlyArray<string>,
  interval: Duration.Duration
): ReadonlyArray<MetadataDeclaration> =>
  keys.map((key, index) => ({
    key,
    display_name: key,
    script: `simulate ${key}`,
    interval: Duration.toSeconds(interval),
    timeout: Duration.toSeconds(interval),
    display_order: index
  }))

const signals = ["cpu", "memory", "disk", "load", "network", "processes", "branch", "build"]
const branches = ["main", "release/2.31", "fix/flaky-listener", "feature/watch"]
const builds = ["queued", "running", "passed", "passed", "failed"]

/** One made-up sample of a key, with an error now and then. */
const sample = Effect.fnUntraced(function* (key: string) {
  const number = yield* Random.next
  if (number > 0.995) return { key, result: { value: "", error: `${key}: the script ended with status 1` } }
  const value =
    key === "branch"
      ? yield* Random.choice(branches)
      : key === "build"
        ? yield* Random.choice(builds)
        : key === "processes"
          ? String(Math.round(40 + number * 200))
          : `${(number * 100).toFixed(1)} %`
  return { key, result: { value, error: "" } }
})

const protocol = ({ observer, token, url }: Options) =>
  RpcClient.layerProtocolSocket({
    retryTransientErrors: true,
    onTransientError: () => Effect.sync(observer.onError),
    pingInterval: "15 seconds"
  }).pipe(
    Layer.provide([
      RpcSerialization.layerJson,
      NodeSocket.layerWebSocket(`${url.replace(/^http/, "ws")}${path}`, {
        headers: { [Token.header]: Redacted.value(token) }
      }),
      Layer.sync(RpcClient.ConnectionHooks, () => hooks(observer))
    ])
  )

/** An attempt to connect that fails ends in a disconnection too, of which the observer is not told. */
const hooks = ({ onConnect, onDisconnect }: Observer) => {
  let isConnected = false
  return {
    onConnect: Effect.sync(() => {
      isConnected = true
      onConnect()
    }),
    onDisconnect: Effect.sync(() => {
      if (isConnected) onDisconnect()
      isConnected = false
    })
  }
}
