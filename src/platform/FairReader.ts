/**
 * Lets many connections take what they have received in fair order, for a millisecond in a turn of the event loop.
 *
 * - Readers run in the order in which they were added. A reader that is waiting already is not added a second time.
 * - A reader runs after the turn that added it has read its sockets, never within `add`.
 * - Once the budget of a turn is spent, the readers that are left wait for the next turn. Timers, sockets and fibers run
 *   between the two.
 * - A reader that adds itself while it runs is behind all that are waiting.
 * - A reader that throws is reported, and stops no other.
 * - While the receiver of the messages is more than half full, each turn is delayed: by up to 8 ms when it is full. Clients
 *   then wait for their answers, instead of having what they send dropped. No delay is longer, so all are read.
 */
import { Cause, Clock, Context, Duration, Effect, ErrorReporter, Layer, Scheduler } from "effect"
import * as MonotonicClock from "./MonotonicClock.ts"

/**
 * The time that the readers of one turn have, in milliseconds: the last of them may exceed it. The longer it is, the longer
 * writes wait for their turn under overload; a shorter one reads as much.
 */
export const budgetMillis = 1

/** The delay of each turn, in milliseconds, while the receiver of the messages is full. */
export const maxDelayMillis = 8

export class FairReader extends Context.Service<
  FairReader,
  {
    /** Runs `read` when it is its turn. */
    readonly addUnsafe: (read: () => void) => void
  }
>()("metadata-batcher/platform/FairReader") {}

/** Makes a fair reader. `saturation` returns the part of the receiver's room that is taken, from 0 to 1. */
export const make = (saturation = () => 0): Effect.Effect<FairReader["Service"]> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.sync(() => {
      const clock = Context.get(context, Clock.Clock)
      const dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
      const waiting = new Set<() => void>()
      const fork = Effect.runForkWith(context)
      let isScheduled = false

      const schedule = () => {
        isScheduled = true
        const delay = maxDelayMillis * (2 * saturation() - 1)
        if (delay > 0) fork(Effect.delay(Effect.sync(turn), Duration.millis(delay)))
        else dispatcher.scheduleTask(turn, 0)
      }
      const turn = () => {
        isScheduled = false
        const end = MonotonicClock.millisUnsafe(clock) + budgetMillis
        for (const read of waiting) {
          waiting.delete(read)
          try {
            read()
          } catch (defect) {
            fork(ErrorReporter.report(Cause.die(defect)))
          }
          if (MonotonicClock.millisUnsafe(clock) >= end) break
        }
        if (waiting.size > 0 && !isScheduled) schedule()
      }

      return FairReader.of({
        addUnsafe: (read) => {
          waiting.add(read)
          if (!isScheduled) schedule()
        }
      })
    })
  )

export const layer: Layer.Layer<FairReader> = Layer.effect(FairReader, make())
