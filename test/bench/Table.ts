/**
 * Tables of contestants that do the same work.
 *
 * A contestant does its work once per round and returns its figures. Its preparation is not measured. A contestant
 * that cannot run on this machine is listed with the reason.
 */
import type { NodeServices } from "@effect/platform-node"
import type { Effect, Scope } from "effect"

/** How much there is to do: enough for figures, or just enough to see that everything works. */
export type Scale = "full" | "smoke"

/** Figures by the column that they belong to. The first column's figure is there in any case. */
export type Figures<Column extends string> = { readonly [Name in Column]?: number }

interface Entrant {
  readonly name: string
  /** Differences from the work of the others. */
  readonly remark?: string | undefined
}

/** Does the work once. A failure ends the run. */
export interface Runner<Column extends string> extends Entrant {
  readonly round: Effect.Effect<Figures<Column>, unknown>
}

export interface Absentee extends Entrant {
  /** Why it cannot run here. */
  readonly skipped: string
}

export type Contestant<Column extends string = string> = Runner<Column> | Absentee

export const canRun = <Column extends string>(contestant: Contestant<Column>): contestant is Runner<Column> =>
  "round" in contestant

export interface Table<Column extends string = string> {
  /** Short, and the same however much there is to do. */
  readonly name: string
  readonly title: string
  /** Notes on the work and the meaning of the figures. */
  readonly notes: ReadonlyArray<string>
  /** The digits behind the point of each column's figures. Contestants are compared by the first column. */
  readonly columns: { readonly [Name in Column]: number }
  /** The contestant that the others are compared to; without one there is no comparison. */
  readonly reference?: string | undefined
  readonly contestants: ReadonlyArray<Contestant<Column>>
  /** The most rounds that are worth their time. Default: as many as the run has. */
  readonly rounds?: number | undefined
  /** Whether the first rounds only warm up; not where every round begins from nothing. Default: `true`. */
  readonly warmsUp?: boolean | undefined
}

/** A table whose columns are those that are named in it. */
export const make = <const Column extends string>(table: Table<Column>): Table => table

export interface Part {
  readonly name: string
  readonly description: string
  /** Prepares the work, for as long as the scope is open. */
  readonly tables: (
    scale: Scale
  ) => Effect.Effect<ReadonlyArray<Table>, unknown, Scope.Scope | NodeServices.NodeServices>
}
