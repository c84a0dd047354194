/**
 * A scenario: something breaks under a service that is at work, and an oracle looks at what is left.
 *
 * What it answers are figures for the table and the promises that were not kept. `FAULTS_PACE` below 1 shortens all
 * times, for whoever works on a scenario.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Duration, Effect, type FileSystem, Layer, References, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"

export interface Figures {
  /** Keys of which the service has accepted a value. */
  readonly accepted: number
  /** Keys of which the table holds the newest accepted value, or one that was sent later. */
  readonly present: number
  readonly lost: number
  /** What the service says itself that it has lost or dropped. */
  readonly counted: number
}

export interface Outcome extends Figures {
  /** What does not hold. */
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
  // what the embedded servers of the suite say when the suite ends them
  Layer.succeed(References.MinimumLogLevel, "None")
)

type Environment = Scope.Scope | FileSystem.FileSystem | Reactivity.Reactivity

export const scenario = <E>(title: string, run: Effect.Effect<Outcome, E, Environment>) =>
  it.live(title, ({ task }) =>
    run.pipe(
      Effect.map(({ problems, ...figures }) => {
        task.meta.figures = figures
        assert.deepStrictEqual(problems, [])
      }),
      Effect.provide(environment)
    )
  )

const pace = Number(process.env["FAULTS_PACE"] ?? 1)

/** A time of the scenario, which the pace shortens. */
export const seconds = (count: number): Duration.Duration => Duration.seconds(count * pace)

/** A promise as a list of problems: empty if it is kept. */
export const expect = (isKept: boolean, otherwise: string): ReadonlyArray<string> => (isKept ? [] : [otherwise])
