/** The tailnet on the connections of agents: the calls, with the agent as their peer, and the relays of its manifest. */
import { Effect, Layer, Option } from "effect"
import { TailnetCalls } from "../agentapi/ports/TailnetCalls.ts"
import type { AgentSession } from "../agentapi/session/AgentSession.ts"
import * as DerpMapMessage from "../agentapi/wire/DerpMapMessage.ts"
import * as Authority from "./Authority.ts"
import type { Coordinator } from "./Coordinator.ts"
import { DerpMaps } from "./DerpMaps.ts"
import type { NetworkTelemetry } from "./NetworkTelemetry.ts"
import { PeerId } from "./Peer.ts"
import type { ResumeTokens } from "./ResumeTokens.ts"
import * as TailnetService from "./TailnetService.ts"
import type { WorkspaceUpdates } from "./WorkspaceUpdates.ts"

const callerOf = ({ identity }: AgentSession["Service"]): TailnetService.Caller => {
  const { agentId, agentName, workspace } = identity
  return {
    peer: {
      id: PeerId.make(agentId),
      name: `${workspace.ownerName}-${workspace.name}-${agentName}`,
      authority: Authority.agent(agentId)
    }
  }
}

export const layer: Layer.Layer<
  never,
  never,
  Coordinator | DerpMaps | NetworkTelemetry | ResumeTokens | WorkspaceUpdates
> = Layer.effect(
  TailnetCalls,
  Effect.gen(function* () {
    const { current } = yield* DerpMaps
    const entries = (yield* TailnetService.make)(callerOf)
    return { entries, derpMap: Effect.map(current, (map) => Option.some(DerpMapMessage.fromJson(map))) }
  })
)
