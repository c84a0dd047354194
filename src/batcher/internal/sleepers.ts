/** Knows which fibers sleep by a clock of tests, so that closing need not wait for somebody to move that clock. */
import { Clock, Effect, type Fiber } from "effect"

type AnyFiber = Fiber.Fiber<unknown, unknown>

export class Sleepers {
  readonly #sleeping = new Set<AnyFiber>()

  /** Returns a clock that does the same, and by which sleeping fibers are known. The real clock is returned as it is. */
  watch(clock: Clock.Clock): Clock.Clock {
    if (clock === Clock.Clock.defaultValue()) return clock
    const sleep: Clock.Clock["sleep"] = (duration) =>
      Effect.withFiber((fiber) => {
        this.#sleeping.add(fiber)
        return Effect.ensuring(
          clock.sleep(duration),
          Effect.sync(() => this.#sleeping.delete(fiber))
        )
      })
    // a clock of tests has members of its own, which a write may use
    return new Proxy(clock, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target)
        if (name === "sleep") return sleep
        return typeof member === "function" ? member.bind(target) : member
      }
    })
  }

  /** Whether there are fibers, and all of them sleep. */
  hold(fibers: ReadonlySet<AnyFiber>): boolean {
    return fibers.size > 0 && [...fibers].every((fiber) => this.#sleeping.has(fiber))
  }
}
