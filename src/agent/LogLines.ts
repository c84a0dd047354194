/**
 * Lines of log that wait to be sent. They outlive a connection.
 *
 * - At most {@link maxWaiting} lines wait. The oldest one makes room for a new one, and the next line that is sent says
 *   how many were left out.
 * - Lines of a call that fails wait for the next one. Once the service says that the agent has logged as much as it may,
 *   lines are dropped.
 */
import { Effect, Latch } from "effect"
import type { LogSourceId } from "../domain/Ids.ts"

/** The most lines that wait. */
export const maxWaiting = 10_000

/** The most lines of a call. */
const maxLines = 1_000

export interface Line {
  readonly source: LogSourceId
  readonly output: string
}

export const make = () => {
  let waiting: Array<Line> = []
  let leftOut = 0
  let isFull = false
  const isWaiting = Latch.makeUnsafe()

  const add = (line: Line) => {
    if (isFull) return
    waiting.push(line)
    isWaiting.openUnsafe()
    if (waiting.length > 2 * maxWaiting) trim()
  }

  const trim = () => {
    const surplus = waiting.length - maxWaiting
    if (surplus > 0) {
      leftOut += surplus
      waiting = waiting.slice(surplus)
    }
  }

  /** Sends the lines that wait, those of one source together. */
  const flush = <E, R>(send: Send<E, R>): Effect.Effect<void, E, R> =>
    Effect.suspend(() => {
      trim()
      const [first] = waiting
      if (first === undefined) return Effect.sync(() => isWaiting.closeUnsafe())
      const other = waiting.findIndex(({ source }) => source !== first.source)
      const count = Math.min(maxLines, other === -1 ? waiting.length : other)
      const outputs = waiting.slice(0, count).map(({ output }) => output)
      if (leftOut > 0) outputs.unshift(`${leftOut} lines were left out`)
      return Effect.flatMap(send(first.source, outputs), (isNowFull) => {
        // new lines may have come while these were on their way
        waiting = isNowFull ? [] : waiting.slice(count)
        leftOut = 0
        isFull = isNowFull
        return flush(send)
      })
    })

  return { add, flush, someWaiting: isWaiting.await }
}

export type LogLines = ReturnType<typeof make>

/** Sends lines of one source, and returns whether the agent has logged as much as it may. */
type Send<E, R> = (source: LogSourceId, outputs: ReadonlyArray<string>) => Effect.Effect<boolean, E, R>
