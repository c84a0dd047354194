/**
 * Where agents connect: a WebSocket that carries calls of the agent API.
 *
 * - The token is checked before the upgrade. Without a valid one the answer is 401 and no WebSocket comes to be.
 * - Each connection has a session of its own, which ends with it.
 * - A defect in one call is the answer to that call; the others of the connection go on.
 * - A frame that is no message gets an error for an answer. One that is no WebSocket frame, or too large, ends the
 *   connection it came over, and is logged.
 */
import { Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { Socket } from "effect/socket"
import * as Authentication from "../access/Authentication.ts"
import { AgentApi } from "./AgentApi.ts"
import * as AgentHandlers from "./AgentHandlers.ts"
import * as AgentSession from "./AgentSession.ts"
import { ConnectApi } from "./ConnectApi.ts"
import * as Frames from "./internal/frames.ts"

const handlers = HttpApiBuilder.group(
  ConnectApi,
  "agent",
  Effect.fnUntraced(function* (handlers) {
    const serve = yield* RpcServer.toHttpEffectWebsocket(AgentApi, { disableFatalDefects: true })

    return handlers.handleRaw("connect", ({ request }) =>
      Effect.gen(function* () {
        if (request.headers["upgrade"]?.toLowerCase() !== "websocket") return upgradeRequired
        const session = yield* AgentSession.open(yield* Authentication.CurrentAgent)
        return yield* Effect.provideService(serve, AgentSession.AgentSession, session).pipe(
          Effect.catchDefect((defect) => (Socket.isSocketError(defect) ? broken(session, defect) : Effect.die(defect)))
        )
      })
    )
  })
)

export const layer = HttpApiBuilder.layer(ConnectApi).pipe(
  Layer.provide(handlers),
  Layer.provide([
    AgentHandlers.layer,
    Authentication.layerAgent,
    Layer.succeed(RpcSerialization.RpcSerialization, Frames.serialization)
  ])
)

/** There is nobody left to answer. */
const broken = ({ identity }: AgentSession.AgentSession["Service"], error: Socket.SocketError) =>
  Effect.logWarning("the connection of an agent broke", error).pipe(
    Effect.annotateLogs({ agentId: identity.agentId }),
    Effect.as(HttpServerResponse.empty())
  )

const upgradeRequired = HttpServerResponse.jsonUnsafe(
  { _tag: "UpgradeRequired", message: "agents connect by WebSocket" },
  { status: 426, headers: { upgrade: "websocket" } }
)
