/** People who watch agents over bare WebSockets, and how old values are when they see them. */
import { Effect } from "effect"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { WatchEvent } from "../../src/watch/MetadataWatch.ts"
import * as WebSockets from "./WebSockets.ts"

export interface Watchers {
  /** Takes the counts since the last call. */
  readonly take: () => {
    readonly events: number
    /** The time from the sending of a value to its sight, in milliseconds and in their order. */
    readonly ages: ReadonlyArray<number>
  }
}

/** One watcher for each agent, until the scope closes. The values of `key` are the times of their sending. */
export const connect = Effect.fnUntraced(function* (
  url: string,
  token: string,
  agents: ReadonlyArray<AgentId>,
  key: string
) {
  let events = 0
  let ages: Array<number> = []

  const listen = (agentId: AgentId) =>
    Effect.map(WebSockets.open(url, `/api/v2/workspaceagents/${agentId}/watch-metadata-ws`, token), (socket) => {
      let last: string | undefined
      socket.on("message", (message) => {
        const event = JSON.parse(String(message)) as WatchEvent
        if (event.type !== "data") return
        events++
        const value = event.data.find(({ description }) => description.key === key)?.result.value
        if (last !== undefined && value !== undefined && value !== last) ages.push(performance.now() - Number(value))
        last = value ?? last
      })
    })
  yield* Effect.forEach(agents, listen, { concurrency: 50, discard: true })

  const watchers: Watchers = {
    take: () => {
      const seen = { events, ages: ages.sort((a, b) => a - b) }
      events = 0
      ages = []
      return seen
    }
  }
  return watchers
})
