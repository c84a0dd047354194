/**
 * Announces changed agents on a channel: at once, or collected for an interval.
 *
 * - An agent that changes several times within the interval is announced once, at the latest at its end.
 * - When the collected agents fill a message, it is published at once.
 * - When the scope closes, the collected agents are announced, in the time that the batcher has left of its closing. An
 *   announcement that was in progress is made again.
 */
import { Clock, Duration, Effect, Iterable, Latch } from "effect"
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

/**
 * Returns how to announce agents. An announcement that fails is logged, and the next one is made. Of failures in a row the
 * first one is an error, so that a broker that is away for an hour is one record.
 */
export const makeAnnouncer = ({ channel, onFailure, pubsub, spans }: Options) => {
  let isFailing = false
  const publish = (payload: string) => {
    const size = { agents: payload.length / AgentIdChunks.encodedLength, bytes: payload.length }
    const published = pubsub.publish(channel, payload)
    return (spans === undefined ? published : spans.publish(published, { channel, ...size })).pipe(
      Effect.andThen(
        Effect.suspend(() => {
          if (!isFailing) return Effect.void
          isFailing = false
          return Effect.logInfo("changed agents are announced again")
        })
      ),
      Effect.catchCause((cause) => {
        const level = isFailing ? "Debug" : "Error"
        isFailing = true
        onFailure()
        return Effect.annotateLogs(Effect.logWithLevel(level)("changed agents could not be announced", cause), size)
      })
    )
  }
  return (agents: ReadonlyArray<AgentId>): Effect.Effect<void> =>
    Effect.suspend(() => Effect.forEach(AgentIdChunks.encode(agents), publish, { discard: true })).pipe(
      Effect.catchDefect((defect) => Effect.logError("changed agents could not be encoded", defect))
    )
}

/**
 * Collects agents for the interval before they are announced. Returns how to announce agents, and how to say that closing
 * begins, which takes at most `shutdownTimeout`.
 */
export const collected = Effect.fnUntraced(function* (
  interval: Duration.Duration,
  shutdownTimeout: Duration.Duration,
  announceNow: (agents: ReadonlyArray<AgentId>) => Effect.Effect<void>
) {
  let closingSince: bigint | undefined
  const waiting = new Set<AgentId>()
  const isWaiting = Latch.makeUnsafe(false)

  const announceFirst = (count: number) =>
    Effect.suspend(() => {
      const first = [...Iterable.take(waiting, count)]
      for (const agent of first) waiting.delete(agent)
      return Effect.onInterrupt(announceNow(first), () =>
        Effect.sync(() => {
          for (const agent of first) waiting.add(agent)
          isWaiting.openUnsafe()
        })
      )
    })
  const announceAll = Effect.suspend(() => announceFirst(waiting.size))

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      const now = yield* Clock.monotonicTimeNanos
      const left = Duration.subtract(shutdownTimeout, Duration.nanos(now - (closingSince ?? now)))
      yield* Effect.timeoutOption(announceAll, left)
      if (waiting.size === 0) return
      yield* Effect.annotateLogs(Effect.logWarning("changed agents were not announced at shutdown"), {
        agents: waiting.size
      })
    })
  )
  yield* isWaiting.await.pipe(
    Effect.andThen(Effect.sleep(interval)),
    Effect.andThen(isWaiting.close),
    Effect.andThen(announceAll),
    Effect.forever,
    Effect.forkScoped
  )
  const announce = (agents: ReadonlyArray<AgentId>) =>
    Effect.suspend(() => {
      for (const agent of agents) waiting.add(agent)
      if (waiting.size > 0) isWaiting.openUnsafe()
      return announceFirst(waiting.size - (waiting.size % AgentIdChunks.maxIdsPerChunk))
    })
  const onClosing = Effect.map(Clock.monotonicTimeNanos, (now) => {
    closingSince = now
  })
  return { announce, onClosing }
})
