/**
 * Visits connections, pings their agents and ends those that are gone or old.
 *
 * - A connection is visited three times per interval, which costs no fiber while nothing has to end.
 * - An agent is pinged once per interval; if it is known when it sends something by itself, only after two intervals
 *   without that. It is not pinged while a ping has no answer.
 * - A connection ends after a whole timeout of silence, in monotonic time, in which a ping was not answered for two
 *   thirds of an interval; that is logged and counted. Right after a stall of the process it does not end: the answer
 *   may have arrived, but not been read. For the same reason an agent is not silent while messages of it wait for their turn.
 */
import { Clock, Duration, Effect, Metric, Random, type Scope } from "effect"
import * as MonotonicClock from "../../platform/MonotonicClock.ts"
import * as Wheel from "../../platform/Wheel.ts"
import { pingTimeouts } from "../AgentMetrics.ts"
import { annotated } from "../internal/annotated.ts"
import type { AgentSession } from "./AgentSession.ts"

export interface Options {
  readonly interval: Duration.Duration
  readonly timeout: Duration.Duration
  /** The age, varied by a tenth, at which a connection ends. Default: none. */
  readonly maxAge: Duration.Input | undefined
}

/** Why a connection has to end. */
export type Reason =
  | "ping timeout"
  | "the build of the agent is no longer the latest"
  | "the connection reached its maximum age"

/** A connection that is monitored. */
export interface Monitored {
  /** Pings the agent, and calls `answered` when it has answered. Returns what forgets the ping. */
  readonly pingUnsafe: (answered: () => void) => () => void
  /** The monotonic time, in milliseconds, at which the agent last sent something by itself, if that is known. */
  readonly heardAtUnsafe?: (() => number) | undefined
  /** Whether messages of the agent wait for their turn. */
  readonly isBehindUnsafe: () => boolean
  /** Called when the connection has to end: it has to close the scope. */
  readonly end: (reason: Reason) => Effect.Effect<void>
}

/** Makes the function that visits a connection until the scope closes, and calls `beat` once per interval. */
export const make = Effect.fnUntraced(function* ({ interval, maxAge, timeout }: Options) {
  const clock = yield* Clock.Clock
  const wheel = yield* Wheel.make(Duration.divideUnsafe(interval, 3))
  const times: Times = {
    clock,
    interval: Duration.toMillis(interval),
    timeout: Duration.toMillis(timeout)
  }
  return Effect.fnUntraced(function* (
    session: AgentSession["Service"],
    monitored: Monitored,
    beat: () => void
  ): Effect.fn.Return<void, never, Scope.Scope> {
    const expiresAt = yield* expiryOf(MonotonicClock.millisUnsafe(clock), maxAge)
    const connection = new Connection(times, session, monitored, expiresAt, beat)
    yield* wheel.add(() => connection.visit())
  })
})

// ----- internals -----

/** All times are in milliseconds: a number is kept in place where a bigint would be allocated at each visit. */
interface Times {
  readonly clock: Clock.Clock
  readonly interval: number
  readonly timeout: number
}

// a class, because there are many
class Connection {
  readonly #times: Times
  readonly #session: AgentSession["Service"]
  readonly #monitored: Monitored
  readonly #expiresAt: number
  readonly #beat: () => void
  #visitedAt: number
  #beatAt: number
  #answeredAt: number
  /** The time of the ping that is not answered yet. */
  #pingedAt: number | undefined
  #forgetPing: (() => void) | undefined

  constructor(
    times: Times,
    session: AgentSession["Service"],
    monitored: Monitored,
    expiresAt: number,
    beat: () => void
  ) {
    this.#times = times
    this.#session = session
    this.#monitored = monitored
    this.#expiresAt = expiresAt
    this.#beat = beat
    this.#visitedAt = this.#beatAt = this.#answeredAt = MonotonicClock.millisUnsafe(times.clock)
  }

  visit(): Effect.Effect<void> | undefined {
    const now = MonotonicClock.millisUnsafe(this.#times.clock)
    if (this.#monitored.isBehindUnsafe()) this.#answeredAt = now
    if (this.#isGone(now)) return Effect.andThen(this.#reportSilence(), this.#monitored.end("ping timeout"))
    if (now >= this.#expiresAt) return this.#monitored.end("the connection reached its maximum age")
    this.#visitedAt = now
    // every third visit, however exact their times are
    const isWhole = now - this.#beatAt > (this.#times.interval * 5) / 6
    this.#pingIfDue(now, isWhole)
    if (!isWhole) return undefined
    this.#beatAt = now
    this.#beat()
    return undefined
  }

  #heardAt() {
    return Math.max(this.#monitored.heardAtUnsafe?.() ?? 0, this.#answeredAt)
  }

  #isGone(now: number) {
    const { interval, timeout } = this.#times
    if (this.#pingedAt === undefined || now - this.#heardAt() <= timeout) return false
    // after a stall of the process answers may not be read yet, and the ping may have been sent just now
    return now - this.#visitedAt <= interval && now - this.#pingedAt > interval / 2
  }

  #pingIfDue(now: number, isWhole: boolean) {
    const { clock, interval } = this.#times
    const heardAt = this.#heardAt()
    if (this.#pingedAt !== undefined && heardAt <= this.#pingedAt) return
    this.#pingedAt = undefined
    this.#forgetPing?.()
    const isDue = this.#monitored.heardAtUnsafe === undefined ? isWhole : now - heardAt >= interval * 2
    if (!isDue) return
    this.#pingedAt = now
    this.#forgetPing = this.#monitored.pingUnsafe(() => {
      this.#answeredAt = MonotonicClock.millisUnsafe(clock)
      this.#pingedAt = undefined
    })
  }

  #reportSilence() {
    return Effect.andThen(
      Metric.update(pingTimeouts, 1),
      annotated(this.#session.identity)(Effect.logWarning("agent does not answer pings"))
    )
  }
}

/** Returns the time at which a connection has reached its age, varied by a tenth. */
const expiryOf = (now: number, maxAge: Duration.Input | undefined) =>
  maxAge === undefined
    ? Effect.succeed(Number.POSITIVE_INFINITY)
    : Effect.map(Random.nextBetween(0.9, 1.1), (part) => now + Duration.toMillis(maxAge) * part)
