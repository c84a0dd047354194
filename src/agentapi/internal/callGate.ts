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

export const make = (maxCalls: number): CallGate => new Gate(maxCalls)

// a class, and a latch for those that have to wait alone: each connection has a gate, and few are ever full
class Gate implements CallGate {
  readonly #maxCalls: number
  #running = 0
  #latch: Latch.Latch | undefined

  constructor(maxCalls: number) {
    this.#maxCalls = maxCalls
  }

  enterUnsafe() {
    this.#running++
  }

  leaveUnsafe() {
    this.#running--
    if (this.isFullUnsafe()) return
    const latch = this.#latch
    // those who go on at once may fill the gate again
    this.#latch = undefined
    latch?.openUnsafe()
  }

  isFullUnsafe() {
    return this.#running >= this.#maxCalls
  }

  get ready() {
    return Effect.suspend(() => {
      if (!this.isFullUnsafe()) return Effect.void
      this.#latch ??= Latch.makeUnsafe(false)
      return this.#latch.await
    })
  }
}
