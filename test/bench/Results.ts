/**
 * The results of a run, as JSON and as text for a terminal.
 */
import { Schema } from "effect"

/** Over the counted rounds. `ratio` is the median of what it was, round by round, to that of the table's reference. */
export const Figure = Schema.Struct({
  median: Schema.Finite,
  min: Schema.Finite,
  max: Schema.Finite,
  ratio: Schema.optionalKey(Schema.Finite)
})
export type Figure = typeof Figure.Type

export const Row = Schema.Struct({
  name: Schema.String,
  remark: Schema.optionalKey(Schema.String),
  figures: Schema.Record(Schema.String, Figure),
  /** Why there are no figures. */
  skipped: Schema.optionalKey(Schema.String)
})
export type Row = typeof Row.Type

export const TableResults = Schema.Struct({
  name: Schema.String,
  title: Schema.String,
  notes: Schema.Array(Schema.String),
  columns: Schema.Array(Schema.Struct({ name: Schema.String, digits: Schema.Int })),
  reference: Schema.optionalKey(Schema.String),
  rounds: Schema.Int,
  rows: Schema.Array(Row)
})
export type TableResults = typeof TableResults.Type

export const Results = Schema.Struct({
  machine: Schema.Struct({
    cpu: Schema.String,
    cores: Schema.Int,
    memoryGiB: Schema.Finite,
    platform: Schema.String,
    node: Schema.String
  }),
  scale: Schema.Literals(["full", "smoke"]),
  rounds: Schema.Int,
  parts: Schema.Array(
    Schema.Struct({ name: Schema.String, description: Schema.String, tables: Schema.Array(TableResults) })
  )
})
export type Results = typeof Results.Type

export const fromJson = Schema.decodeEffect(Schema.fromJsonString(Results))

/** A line about the machine, then each part with its tables. */
export const toText = ({ machine, parts, rounds, scale }: Results): string =>
  [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.platform}, Node ${machine.node}`,
    scale === "smoke"
      ? "a smoke run: the figures mean nothing"
      : `medians [min..max] of ${rounds} interleaved rounds; ratios are medians of the ratios of each round`,
    ...parts.flatMap(({ description, name, tables }) => [`\n# ${name}: ${description}`, ...tables.map(tableToText)])
  ].join("\n")

const tableToText = ({ columns, notes, reference, rounds, rows, title }: TableResults): string => {
  const ratio = reference === undefined ? [] : ["ratio"]
  const header = [
    "",
    ...columns.slice(0, 1).map(({ name }) => name),
    ...ratio,
    ...columns.slice(1).map(({ name }) => name)
  ]
  const cells = rows.map((row) => {
    const [first, ...others] = columns.map(({ digits, name }) => toCell(row.figures[name], digits))
    return [row.name, first ?? "", ...ratio.map(() => toRatio(row, columns[0]?.name)), ...others]
  })
  const widths = header.map((_, column) => Math.max(...[header, ...cells].map((line) => line[column]?.length ?? 0)))
  const line = (texts: ReadonlyArray<string>) =>
    texts.map((text, column) => (column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!))).join("  ")
  return [
    `\n## ${title}`,
    ...notes,
    ...(rounds === 1 ? ["measured once"] : []),
    ...(reference === undefined ? [] : [`ratio: ${columns[0]?.name}, that of ${reference} being 1`]),
    "",
    line(header),
    ...rows.map((row, index) =>
      row.skipped === undefined
        ? `${line(cells[index]!)}${row.remark === undefined ? "" : `  ${row.remark}`}`
        : `${row.name.padEnd(widths[0]!)}  skipped: ${row.skipped}`
    )
  ].join("\n")
}

const toCell = (figure: Figure | undefined, digits: number): string => {
  if (figure === undefined) return "-"
  const [median, min, max] = [figure.median, figure.min, figure.max].map((value) => value.toFixed(digits))
  return min === max ? median! : `${median} [${min}..${max}]`
}

const toRatio = ({ figures }: Row, column: string | undefined): string => {
  const ratio = column === undefined ? undefined : figures[column]?.ratio
  return ratio === undefined ? "-" : ratio.toFixed(2)
}
