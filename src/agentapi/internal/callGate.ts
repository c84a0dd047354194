/** Limits how many calls of a connection run at the same time. */
import { Effect, Latch } from "effect"

export interface CallGate {
  /** Counts a call that starts. */
  readonly enterUnsafe: () => void
  /** Counts the end of a call. */
  readonly leaveUnsafe: () => void
  /** Whether no further call may start. */
  readonly isFullUnsafe: () => boolean
  /** Waits until a further call may start. */
  readonly ready: Effect.Effect<void>
}

export const make = (maxCalls: number): CallGate => {
  const latch = Latch.makeUnsafe(true)
  let running = 0
  return {
    enterUnsafe: () => {
      if (++running >= maxCalls) latch.closeUnsafe()
    },
    leaveUnsafe: () => {
      if (--running < maxCalls) latch.openUnsafe()
    },
    isFullUnsafe: () => running >= maxCalls,
    // each call asks, and nearly always finds the gate open
    ready: Effect.suspend(() => (latch.isOpen() ? Effect.void : latch.await))
  }
}
