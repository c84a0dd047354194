/** Announces changed agents on a channel. */
import { Effect } from "effect"
import type { AgentId } from "../../domain/Ids.ts"
import type * as PubSub from "../../pubsub/PubSub.ts"
import * as AgentIdChunks from "../AgentIdChunks.ts"
import type { ReportSpans } from "./reportSpans.ts"

export interface Options {
  readonly channel: string
  readonly pubsub: PubSub.PubSub["Service"]
  readonly spans: ReportSpans | undefined
  readonly onFailure: () => void
}

/** Returns how to announce agents. An announcement that fails is logged, and the next one is made. */
export const makeAnnouncer = ({ channel, onFailure, pubsub, spans }: Options) => {
  const publish = (payload: string) => {
    const size = { agents: payload.length / AgentIdChunks.encodedLength, bytes: payload.length }
    const published = pubsub.publish(channel, payload)
    return (spans === undefined ? published : spans.publish(published, { channel, ...size })).pipe(
      Effect.catchCause((cause) => {
        onFailure()
        return Effect.annotateLogs(Effect.logError("changed agents could not be announced", cause), size)
      })
    )
  }
  return (agents: ReadonlyArray<AgentId>): Effect.Effect<void> =>
    Effect.suspend(() => Effect.forEach(AgentIdChunks.encode(agents), publish, { discard: true })).pipe(
      Effect.catchDefect((defect) => Effect.logError("changed agents could not be encoded", defect))
    )
}
