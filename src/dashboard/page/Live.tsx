/** Shows whether a stream is live. One of an agent that is not connected brings nothing new, and is not called live. */
import type { Connection } from "./client.ts"

export const Live = ({ connection, isAway }: { connection: Connection; isAway: boolean }) =>
  connection === "live" && isAway ? (
    <span class="live">the agent is not connected</span>
  ) : (
    <span class={`live live-${connection}`}>{connection === "lost" ? "no connection: trying again" : connection}</span>
  )
