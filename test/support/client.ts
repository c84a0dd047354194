/** Clients of a running service: an administrator, an agent over its WebSocket, a watcher of server-sent events. */
import { NodeSocket } from "@effect/platform-node"
import { Effect, Layer, Queue, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { RpcClient, RpcSerialization } from "effect/rpc"
import * as Token from "../../src/access/Token.ts"
import { AgentApi } from "../../src/agentapi/AgentApi.ts"
import { path, subprotocol } from "../../src/agentapi/AgentSocketApi.ts"
import type { AgentId } from "../../src/domain/Ids.ts"
import { AdminApi } from "../../src/admin/AdminApi.ts"
import { WatchApi } from "../../src/watch/WatchApi.ts"

const options = (url: string, token: string) => ({
  baseUrl: url,
  transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader(Token.header, token))
})

/** The admin API as an administrator. */
export const admin = (url: string, token: string) =>
  Effect.provide(HttpApiClient.make(AdminApi, options(url, token)), FetchHttpClient.layer)

/** A workspace with agents that declare the same keys. */
export const agents = Effect.fnUntraced(function* (
  url: string,
  token: string,
  count: number,
  keys: ReadonlyArray<string>
) {
  const api = yield* admin(url, token)
  yield* api.users.create({ payload: { username: "ada", is_admin: false } })
  const workspace = yield* api.workspaces.create({ payload: { name: "dev", owner: "ada" } })
  const metadata = keys.map((key) => ({ key, script: "", interval: 10, timeout: 10, display_order: 0 }))
  const all = Array.from({ length: count }, (_, index) => ({ name: `agent-${index}`, metadata }))
  const created = []
  // one call takes at most a thousand
  for (let first = 0; first < count; first += 1_000) {
    const agents = all.slice(first, first + 1_000)
    created.push(...(yield* api.agents.create({ params: { workspace: workspace.id }, payload: { agents } })))
  }
  return created
})

/** An agent that is connected for as long as the scope; reports values by key. */
export const agent = Effect.fnUntraced(function* (url: string, token: string) {
  const protocol = RpcClient.layerProtocolSocket({ retryTransientErrors: true }).pipe(
    Layer.provide([
      RpcSerialization.layerJson,
      NodeSocket.layerWebSocket(`${url.replace("http", "ws")}${path}`, {
        headers: { [Token.header]: token },
        protocols: subprotocol
      })
    ])
  )
  const client = yield* Effect.provideContext(RpcClient.make(AgentApi), yield* Layer.build(protocol))
  return (values: Readonly<Record<string, string>>) =>
    client.BatchUpdateMetadata({
      metadata: Object.entries(values).map(([key, value]) => ({ key, result: { value, error: "" } }))
    })
})

/** A watcher that is connected for as long as the scope; returns the values by key of each event. */
export const watch = Effect.fnUntraced(function* (url: string, token: string, agentId: AgentId) {
  const { watch } = yield* Effect.provide(HttpApiClient.make(WatchApi, options(url, token)), FetchHttpClient.layer)
  const seen = yield* Queue.unbounded<Readonly<Record<string, string>>>()
  yield* Stream.unwrap(watch.watch({ params: { agent: agentId } })).pipe(
    Stream.runForEach((event) =>
      event.event === "data"
        ? Queue.offer(
            seen,
            Object.fromEntries(event.data.map(({ description, result }) => [description.key, result.value]))
          )
        : Effect.void
    ),
    Effect.forkScoped
  )
  return {
    next: Queue.take(seen),
    /** Waits for an event in which the key has the value. */
    until: (key: string, value: string) => Effect.repeat(Queue.take(seen), { until: (values) => values[key] === value })
  }
})
