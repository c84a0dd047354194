/** The tailnet on the connections of agents: the calls, with the agent as their peer, and the relays of its manifest. */
import { Effect, Layer } from "effect"
import { Relays } from "../agentapi/ports/SiteConfigs.ts"
import { TailnetCalls } from "../agentapi/ports/TailnetCalls.ts"
import type { AgentSession } from "../agentapi/session/AgentSession.ts"
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
> = Layer.mergeAll(
  Layer.effect(
    TailnetCalls,
    Effect.map(TailnetService.make, (entriesOf) => ({ entries: entriesOf(callerOf) }))
  ),
  Layer.effect(
    Relays,
    DerpMaps.useSync(({ current }) => current)
  )
)
