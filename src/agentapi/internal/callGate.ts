/** Limits how many calls of a connection run at the same time. */
import { Effect, Latch, Semaphore } from "effect"

export interface CallGate {
  /** Counts a call that starts. */
  readonly enterUnsafe: () => void
  /** Counts the end of a call. */
  readonly leaveUnsafe: () => void
  /** Whether no further call may start. */
  readonly isFullUnsafe: () => boolean
  /** Waits until a further call may start. */
  readonly ready: Effect.Effect<void>
  /** Runs and counts a call. Calls beyond the maximum wait in line. */
  readonly inTurn: <A, E>(call: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

export const make = (maxCalls: number): CallGate => new Gate(maxCalls)

// a class, and a latch for those that have to wait alone: each connection has a gate, and few are ever full
class Gate implements CallGate {
  readonly #maxCalls: number
  #running = 0
  #latch: Latch.Latch | undefined
  #turns: Semaphore.Semaphore | undefined

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

  inTurn<A, E>(call: Effect.Effect<A, E>) {
    const leave = Effect.sync(() => this.leaveUnsafe())
    this.#turns ??= Semaphore.makeUnsafe(this.#maxCalls)
    return this.#turns.withPermit(
      Effect.suspend(() => {
        this.enterUnsafe()
        return Effect.ensuring(call, leave)
      })
    )
  }

  get ready() {
    return Effect.suspend(() => {
      if (!this.isFullUnsafe()) return Effect.void
      this.#latch ??= Latch.makeUnsafe(false)
      return this.#latch.await
    })
  }
}
