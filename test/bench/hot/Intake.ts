/**
 * The ways in which updates get into a contestant.
 *
 * A contestant is used as its makers mean it to be: called as a function that has done its work when it returns, called
 * as one that does it later, or run as an effect.
 */
import { Effect, type Scope } from "effect"
import type { BatchSink } from "../BatchSink.ts"
import type { Report } from "../Workload.ts"

interface Named {
  readonly name: string
  readonly remark?: string | undefined
  /** The part of the work that it gets, for one that takes very long for all of it. Default: 1. */
  readonly share?: number | undefined
}

/** Takes everything in its place, and so never has too much. Returns how many updates were dropped. */
export type Call = (report: Report) => number

/** Takes everything, and hands it over when the event loop gets to it. */
export interface Later {
  readonly add: (report: Report) => void
  /** Updates that were taken and not yet written. */
  readonly waiting: () => number
}

export interface Intake {
  /** Returns how many updates were dropped. */
  readonly add: (report: Report) => Effect.Effect<number>
  /** Updates that were taken and wait for their batch. */
  readonly waiting: Effect.Effect<number>
}

/** All end with their scope, and have written everything by then if they can. */
export interface CallContestant extends Named {
  readonly startCall: (sink: BatchSink) => Effect.Effect<Call, never, Scope.Scope>
}
export interface LaterContestant extends Named {
  readonly startLater: (sink: BatchSink) => Effect.Effect<Later, never, Scope.Scope>
}
export interface EffectContestant extends Named {
  readonly start: (sink: BatchSink) => Effect.Effect<Intake, never, Scope.Scope>
}
export type Contestant = CallContestant | LaterContestant | EffectContestant

/** Adds the first so many of the reports, in a circle if there are fewer. Returns how many updates were dropped. */
export type Feed = (reports: ReadonlyArray<Report>, count: number) => Effect.Effect<number>

/** Starts a contestant, and feeds it as fast as it takes updates without a drop. */
export const patiently = (contestant: Contestant, sink: BatchSink): Effect.Effect<Feed, never, Scope.Scope> => {
  if ("start" in contestant) return Effect.map(contestant.start(sink), feedIntake)
  if ("startLater" in contestant) return Effect.map(contestant.startLater(sink), feedLater)
  return Effect.map(contestant.startCall(sink), feedCall)
}

const feedCall =
  (call: Call): Feed =>
  (reports, count) =>
    Effect.sync(() => {
      let dropped = 0
      for (let index = 0; index < count; index++) dropped += call(reports[index % reports.length]!)
      return dropped
    })

/** How often a producer looks at what is waiting, in reports, and how many updates it does not want to see there. */
const lookEvery = 20
const patience = 1_250

// no generator: what it makes for each `yield*` costs more than some contestants take
const feedIntake = ({ add, waiting }: Intake): Feed => {
  const room: Effect.Effect<void> = Effect.flatMap(waiting, (updates) =>
    updates > patience ? Effect.andThen(Effect.yieldNow, room) : Effect.void
  )
  return (reports, count) =>
    Effect.suspend(() => {
      let fed = 0
      let dropped = 0
      const feeding = Effect.whileLoop({
        while: () => fed < count,
        body: () => {
          const adding = add(reports[fed % reports.length]!)
          return fed++ % lookEvery === 0 ? Effect.andThen(room, adding) : adding
        },
        step: (refused) => {
          dropped += refused
        }
      })
      return Effect.map(feeding, () => dropped)
    })
}

const feedLater =
  ({ add, waiting }: Later): Feed =>
  (reports, count) =>
    Effect.promise(async () => {
      for (let index = 0; index < count; index++) {
        add(reports[index % reports.length]!)
        if (index % lookEvery === 0) while (waiting() > patience) await new Promise(setImmediate)
      }
      return 0
    })

/**
 * Starts a contestant, and feeds it without a look at what is waiting, as sockets do: `perTurn` reports in one turn of the
 * event loop, each on its own, then nothing until the next turn.
 */
export const inTurns = (
  contestant: EffectContestant,
  sink: BatchSink,
  perTurn: number
): Effect.Effect<Feed, never, Scope.Scope> =>
  Effect.map(contestant.start(sink), ({ add }) =>
    Effect.fnUntraced(function* (reports, count) {
      const run = Effect.runSyncWith(yield* Effect.context<never>())
      let dropped = 0
      for (let index = 0; index < count; index++) {
        if (index % perTurn === 0) yield* nextTurn
        dropped += run(add(reports[index % reports.length]!))
      }
      return dropped
    })
  )

const nextTurn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})
