/**
 * A scenario: something breaks while the service works, and an oracle compares what is left with what was accepted.
 *
 * Each returns figures for the table and the guarantees that did not hold. `FAULTS_PACE` below 1 shortens the times of
 * older scenarios, for somebody who works on one.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Duration, Effect, type FileSystem, Layer, References, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { leftOut } from "./tableReporter.ts"
import * as ValueStore from "./ValueStore.ts"

export interface Figures {
  /** Keys with an accepted value. */
  readonly accepted: number
  /** Keys for which the table holds the newest accepted value, or one that was sent later. */
  readonly present: number
  readonly lost: number
  /** Samples that the service says that it has lost or dropped. */
  readonly counted: number
}

export interface Outcome extends Figures {
  /** The guarantees that did not hold. */
  readonly problems: ReadonlyArray<string>
}

declare module "vitest" {
  interface TaskMeta {
    figures?: Figures
  }
}

const environment = Layer.mergeAll(
  NodeFileSystem.layer,
  Reactivity.layer,
  // the suite ends its embedded servers, and each of them would log that
  Layer.succeed(References.MinimumLogLevel, "None")
)

type Environment = Scope.Scope | FileSystem.FileSystem | Reactivity.Reactivity

export const scenario = <E>(title: string, run: Effect.Effect<Outcome, E, Environment>) =>
  it.live(title, ({ task }) =>
    ValueStore.begin.pipe(
      Effect.andThen(run),
      Effect.map(({ problems, ...figures }) => {
        task.meta.figures = figures
        assert.deepStrictEqual(problems, [])
      }),
      Effect.provide(environment)
    )
  )

/** The same, unless values are in Redis: then the run leaves it out, and its table says why. */
export const scenarioOfDatabase = <E>(title: string, why: string, run: Effect.Effect<Outcome, E, Environment>) =>
  ValueStore.isShared ? it.live.skip(`${title}${leftOut}${why}`, () => Effect.void) : scenario(title, run)

const pace = Number(process.env["FAULTS_PACE"] ?? 1)

/** A duration that `FAULTS_PACE` shortens. */
export const seconds = (count: number): Duration.Duration => Duration.seconds(count * pace)

/**
 * Lets the length of a fault, or of a load, pass: it is a parameter of the scenario. A scenario that waits for a state
 * uses `World.settle` instead.
 */
export const lasting = (length: Duration.Input): Effect.Effect<void> => Effect.sleep(length)

/** No problem if the guarantee holds, else the one that is given. */
export const expect = (holds: boolean, otherwise: string): ReadonlyArray<string> => (holds ? [] : [otherwise])

/** Adds guarantees to those of an outcome. */
export const and = (outcome: Outcome, ...guarantees: ReadonlyArray<ReadonlyArray<string>>): Outcome => ({
  ...outcome,
  problems: [...outcome.problems, ...guarantees.flat()]
})
