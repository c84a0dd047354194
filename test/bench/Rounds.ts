/**
 * Runs a table: contestants take turns, so that a slow moment of the machine slows all of them.
 *
 * - Each contestant does the work once in a round. Another one begins each round, so that none always runs behind the
 *   same other.
 * - The first rounds only warm up, and are not counted.
 * - A ratio is taken within a round and only then over the rounds.
 */
import { Array, Effect, Record } from "effect"
import type { Figure, Row, TableResults } from "./Results.ts"
import * as Table from "./Table.ts"

export interface Options {
  readonly rounds: number
  readonly warmUps: number
  readonly onTurn?: ((turn: { readonly contestant: string; readonly round: number }) => Effect.Effect<void>) | undefined
}

/** The figures of one contestant, round by round. */
type Course = ReadonlyArray<Table.Figures<string>>

export const run = Effect.fnUntraced(function* (table: Table.Table, options: Options) {
  const runners = table.contestants.filter(Table.canRun)

  const round = Effect.fnUntraced(function* (number: number) {
    const course = yield* Effect.forEach(Array.rotate(runners, number), ({ name, round }) =>
      Effect.gen(function* () {
        yield* options.onTurn?.({ contestant: name, round: number }) ?? Effect.void
        return [name, yield* round] as const
      })
    )
    return Record.fromEntries(course)
  })

  const all = yield* Effect.forEach(Array.range(1 - options.warmUps, options.rounds), round)
  const counted = all.slice(options.warmUps)
  return summarise(table, counted)
})

/** The results of a table, given what its contestants did in each round. */
const summarise = (
  { columns, contestants, name, notes, reference, title }: Table.Table,
  rounds: ReadonlyArray<Readonly<Record<string, Table.Figures<string>>>>
): TableResults => {
  const names = Object.keys(columns)
  const courseOf = (name: string): Course => rounds.map((figures) => figures[name] ?? {})
  const standard = reference === undefined ? [] : courseOf(reference)

  const figure = (column: string, course: Course): ReadonlyArray<readonly [string, Figure]> => {
    const values = course.map((figures) => figures[column] ?? Number.NaN).filter(Number.isFinite)
    if (values.length === 0) return []
    const ratios = course.map(
      (figures, round) => (figures[column] ?? Number.NaN) / (standard[round]?.[column] ?? Number.NaN)
    )
    const ratio = ratios.length > 0 && ratios.every(Number.isFinite) ? { ratio: median(ratios) } : {}
    return [[column, { median: median(values), min: Math.min(...values), max: Math.max(...values), ...ratio }]]
  }

  const row = (contestant: Table.Contestant): Row => ({
    name: contestant.name,
    ...(contestant.remark === undefined ? {} : { remark: contestant.remark }),
    ...(Table.canRun(contestant) ? {} : { skipped: contestant.skipped }),
    figures: Object.fromEntries(names.flatMap((column) => figure(column, courseOf(contestant.name))))
  })

  return {
    name,
    title,
    notes,
    columns: names.map((name) => ({ name, digits: columns[name]! })),
    ...(reference === undefined ? {} : { reference }),
    rounds: rounds.length,
    rows: contestants.map(row)
  }
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2
}
