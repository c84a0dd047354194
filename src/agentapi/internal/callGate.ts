/** Limits how many calls of a connection run at the same time. */
import { Effect, Latch, Semaphore } from "effect"

export interface CallGate {
  /** Whether no further call may start. */
  readonly isFullUnsafe: () => boolean
  /** Waits until a further call may start. */
  readonly ready: Effect.Effect<void>
  /** Runs and counts a call. */
  readonly counted: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Runs and counts a call. Calls beyond the maximum wait in line. */
  readonly inTurn: <A, E>(call: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

export const make = (maxCalls: number): CallGate => new Gate(maxCalls)

// a class, and a latch and a line only once they are needed: each connection has a gate, and few are ever full
class Gate implements CallGate {
  readonly #maxCalls: number
  #running = 0
  #latch: Latch.Latch | undefined
  #turns: Semaphore.Semaphore | undefined

  constructor(maxCalls: number) {
    this.#maxCalls = maxCalls
  }

  isFullUnsafe() {
    return this.#running >= this.#maxCalls
  }

  counted<A, E, R>(call: Effect.Effect<A, E, R>) {
    return Effect.suspend(() => {
      this.#running++
      return Effect.ensuring(
        call,
        Effect.sync(() => this.#leave())
      )
    })
  }

  inTurn<A, E>(call: Effect.Effect<A, E>) {
    this.#turns ??= Semaphore.makeUnsafe(this.#maxCalls)
    return this.#turns.withPermit(this.counted(call))
  }

  get ready() {
    return Effect.suspend(() => {
      if (!this.isFullUnsafe()) return Effect.void
      this.#latch ??= Latch.makeUnsafe(false)
      return this.#latch.await
    })
  }

  #leave() {
    this.#running--
    if (this.isFullUnsafe()) return
    const latch = this.#latch
    // a woken call may fill the gate again
    this.#latch = undefined
    latch?.openUnsafe()
  }
}
