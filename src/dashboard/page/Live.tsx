/** Shows whether a stream is live. */
import type { Connection } from "./client.ts"

export const Live = ({ connection }: { connection: Connection }) => (
  <span class={`live live-${connection}`}>{connection === "lost" ? "no connection: trying again" : connection}</span>
)
