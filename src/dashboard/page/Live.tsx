/** Shows whether what a page has is current. */
import type { Connection } from "./client.ts"

export const notUpToDate = "not up to date: trying again"

/** Says that what was asked for did not come the last time. */
export const Freshness = ({ isOld }: { isOld: boolean }) => (
  <span class="muted" role="status">
    {isOld && notUpToDate}
  </span>
)

/** Shows whether a stream is live. One of an agent that is not connected brings nothing new, and is not called live. */
export const Live = ({ connection, isAway }: { connection: Connection; isAway: boolean }) =>
  connection === "live" && isAway ? (
    <span class="live">the agent is not connected</span>
  ) : (
    <span class={`live live-${connection}`}>{connection === "lost" ? "no connection: trying again" : connection}</span>
  )
