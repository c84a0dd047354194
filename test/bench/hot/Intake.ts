/**
 * How updates get into a contestant, and who feeds it.
 *
 * A contestant is used as its makers mean it to be: called as a function, or run as an effect. When it has ended it has
 * written everything.
 */
import { Effect, type Scope } from "effect"
import type { Report } from "../Workload.ts"
import type { BatchSink } from "../BatchSink.ts"

interface Named {
  readonly name: string
  readonly remark?: string | undefined
}

/** What is called takes everything in its place, and so never has too much. */
export interface Call {
  /** Answers how many updates were dropped. */
  readonly add: (report: Report) => number
  readonly end: () => void
}

export interface CallContestant extends Named {
  readonly call: (sink: BatchSink) => Call
}

export interface Intake {
  /** Answers how many updates were dropped. */
  readonly add: (report: Report) => Effect.Effect<number>
  /** Updates that were taken and wait for their batch. */
  readonly waiting: Effect.Effect<number>
}

export interface EffectContestant extends Named {
  /** It ends with its scope. */
  readonly start: (sink: BatchSink) => Effect.Effect<Intake, never, Scope.Scope>
}

export type Contestant = CallContestant | EffectContestant

export interface Feed {
  readonly sink: BatchSink
  /** They are used in a circle. */
  readonly reports: ReadonlyArray<Report>
  /** How many reports to add. */
  readonly count: number
}

/** Starts a contestant, adds reports as fast as it takes them without a drop, and ends it. Answers what was dropped. */
export const feed = (contestant: Contestant, feed: Feed): Effect.Effect<number> =>
  "call" in contestant
    ? Effect.sync(() => feedCall(contestant.call(feed.sink), feed))
    : Effect.scoped(Effect.flatMap(contestant.start(feed.sink), (intake) => feedIntake(intake, feed)))

const feedCall = ({ add, end }: Call, { count, reports }: Feed): number => {
  let dropped = 0
  for (let index = 0; index < count; index++) dropped += add(reports[index % reports.length]!)
  end()
  return dropped
}

/** How often a producer looks at what is waiting, in reports, and how many updates it does not want to see there. */
const lookEvery = 20
const patience = 1_250

const feedIntake = Effect.fnUntraced(function* ({ add, waiting }: Intake, { count, reports }: Feed) {
  let dropped = 0
  for (let index = 0; index < count; index++) {
    dropped += yield* add(reports[index % reports.length]!)
    if (index % lookEvery === 0) while ((yield* waiting) > patience) yield* Effect.yieldNow
  }
  return dropped
})

/**
 * Starts a contestant and adds reports without looking, as sockets do: `perTurn` of them in one turn of the event loop,
 * each on its own, then nothing until the next turn. Answers how many updates were dropped.
 */
export const flood = (contestant: EffectContestant, { count, perTurn, reports, sink }: Feed & { perTurn: number }) =>
  Effect.gen(function* () {
    const { add } = yield* contestant.start(sink)
    const run = Effect.runSyncWith(yield* Effect.context<never>())
    let dropped = 0
    for (let index = 0; index < count; index++) {
      if (index % perTurn === 0) yield* nextTurn
      dropped += run(add(reports[index % reports.length]!))
    }
    return dropped
  }).pipe(Effect.scoped)

const nextTurn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})
