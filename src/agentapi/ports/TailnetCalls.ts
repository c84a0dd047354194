/**
 * The port through which agents reach the tailnet: the calls of the tailnet service on an agent's own connection.
 *
 * Without an implementation, an agent gets a map without a relay, and its streams stay open until the agent ends them.
 */
import { Context, Effect, Option } from "effect"
import * as DrpcMultiplexer from "../../wire/DrpcMultiplexer.ts"
import { Tailnet } from "../../wire/generated/tailnet_pb.ts"
import type { AgentSession } from "../session/AgentSession.ts"
import { empty } from "../wire/DerpMapMessage.ts"

export interface TailnetCalls {
  /** The calls, with the session of the agent that makes them. */
  readonly entries: ReadonlyArray<DrpcMultiplexer.Entry<AgentSession["Service"]>>
}

export const TailnetCalls = Context.Reference<TailnetCalls>("metadata-batcher/agentapi/ports/TailnetCalls", {
  defaultValue: () => ({
    entries: [
      DrpcMultiplexer.serverStreaming(Tailnet.method.streamDERPMaps, (_, send) =>
        Effect.andThen(send(empty), Effect.never)
      ),
      DrpcMultiplexer.bidirectional(Tailnet.method.coordinate, ({ receive }) =>
        Effect.repeat(receive, {
          until: (request) => Option.isNone(request) || request.value.disconnect !== undefined
        })
      )
    ]
  })
})
