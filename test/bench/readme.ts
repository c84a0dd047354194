/**
 * Writes the tables of `test/bench/README.md`, and the one of the README, from the JSON of one run or of several:
 * `npm run bench:readme -- figures.json`.
 *
 * The tables stand between two marks. Each figure is followed by its ratio to that of the table's reference. A part that
 * several runs have is that of the last.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Array as Arr, Data, Effect, FileSystem, Option } from "effect"
import { Argument, Command } from "effect/cli"
import * as Path from "node:path"
import { type Figure, Results, type Row, type TableResults } from "./Results.ts"

/** A table of the results, as a document shows it. */
export interface Shown {
  readonly part: string
  readonly table: string
  readonly columns: ReadonlyArray<string>
  readonly caption: string
}

/** The tables that documents show, of all that are measured; the first is that of the README. */
export const shown: ReadonlyArray<Shown> = [
  {
    part: "hot",
    table: "throughput",
    columns: ["ns/update", "CPU ns/update", "heap B/update", "GC %"],
    caption:
      "One update into a batcher whose store does nothing; a million of them from 10 000 agents, 10 keys a report"
  },
  {
    part: "write",
    table: "batches of 500",
    columns: ["rows/s", "client CPU us/row", "server CPU us/row"],
    caption: "Batches of 500 rows into Postgres, one after the other"
  },
  {
    part: "write",
    table: "pieces",
    columns: ["rows/s", "UPDATEs", "NOTIFYs", "server CPU us/row"],
    caption: "500 updates of 50 agents, written and announced"
  },
  {
    part: "store",
    table: "batches of 500",
    columns: ["rows/s", "client CPU us/row", "server CPU us/row"],
    caption: "Batches of 500 rows into each store, one after the other"
  },
  {
    part: "store",
    table: "batches of 2000",
    columns: ["rows/s", "client CPU us/row", "server CPU us/row"],
    caption: "Batches of 2 000 rows into each store, one after the other"
  },
  {
    part: "report",
    table: "press",
    columns: ["reports/s", "server CPU us/report", "p50 ms", "p99 ms"],
    caption: "Reports of 10 keys over 200 WebSockets, as many as one process answers"
  },
  {
    part: "report",
    table: "connections",
    columns: ["KB/connection", "RSS MB", "p99 ms", "server CPU %"],
    caption: "10 000 connections, a thousand reports a second"
  },
  {
    part: "wire",
    table: "press",
    columns: ["server CPU us/report", "reports/s", "p50 ms", "p99 ms"],
    caption: "Reports of 10 keys over 200 connections of stock agents, as many as one process answers"
  },
  {
    part: "wire",
    table: "idle",
    columns: ["KB/connection", "heap KB/connection", "server CPU %"],
    caption: "10 000 connections of stock agents with three open streams each, idle"
  },
  {
    part: "pubsub",
    table: "one",
    columns: ["publications/s", "CPU us, together", "CPU us, alone", "p50 ms", "p99 ms"],
    caption: "Publications of 60 agents each, heard by one process"
  },
  {
    part: "pubsub",
    table: "some",
    columns: ["publications/s", "CPU us, together", "CPU us, alone", "p50 ms", "p99 ms"],
    caption: "Publications of 60 agents each, heard by 10 processes"
  },
  {
    part: "pubsub",
    table: "many",
    columns: ["publications/s", "CPU us, together", "CPU us, alone", "p50 ms", "p99 ms"],
    caption: "Publications of 60 agents each, heard by 50 processes"
  },
  {
    part: "system",
    table: "load",
    columns: [
      "updates/s",
      "dropped or lost",
      "age p50 ms",
      "age p99 ms",
      "answer p99 ms",
      "longest turn ms",
      "server CPU %",
      "Postgres CPU %",
      "server MB"
    ],
    caption: "The whole service, its Postgres and the fleet on one machine, every agent reporting 15 keys every 10 s"
  },
  {
    part: "system",
    table: "overload",
    columns: [
      "rows/s",
      "updates/s offered",
      "updates/s answered",
      "replaced/s",
      "dropped",
      "lost",
      "not answered",
      "answer p99 ms",
      "longest turn ms",
      "server CPU %"
    ],
    caption: "The same agents under one to four times the load of 40 000"
  },
  {
    part: "workers",
    table: "workers",
    columns: ["updates/s", "updates/s per core", "answer p99 ms", "server CPU %", "rows/s", "server MB"],
    caption: "The service as several processes, of agents that report again as soon as they have an answer"
  },
  {
    part: "watch",
    table: "service",
    columns: ["server CPU %", "NOTIFYs/s", "statements/s", "events/s"],
    caption: "The same 10 000 agents, watched by 1 000 people"
  },
  {
    part: "tailnet",
    table: "updates",
    columns: ["updates/s", "p50 ms", "p99 ms", "CPU % of a replica", "CPU us/update", "KB/peer", "statements/update"],
    caption: "1 000 updates of nodes a second, of 10 000 agents and 1 000 clients with 10 tunnels each"
  },
  {
    part: "start",
    table: "serve",
    columns: ["ms to ready", "ms to end", "CPU ms", "MB"],
    caption: "`serve` on a data folder that is there already"
  },
  {
    part: "start",
    table: "import",
    columns: ["import ms", "files", "KB loaded", "KB installed"],
    caption: "The library, imported"
  }
]

const marks = { begin: "<!-- bench -->", end: "<!-- /bench -->" }

/** The text between the marks. */
export const section = ({ machine, parts, rounds }: Results, tables: ReadonlyArray<Shown>): string =>
  [
    `Medians of ${rounds} interleaved rounds on ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.platform}, Node ${machine.node}.`,
    "Behind each figure is its ratio to that of the first row, measured in the same rounds; a figure without one stands alone.",
    ...tables.flatMap(({ caption, columns, part, table }) => {
      const results = parts.find(({ name }) => name === part)?.tables.find(({ name }) => name === table)
      if (results === undefined) return []
      const ofItsOwn = results.rounds === 1 ? ", measured once" : `, ${results.rounds} rounds`
      return [`\n**${caption}**${results.rounds === rounds ? "" : ofItsOwn}\n`, toMarkdown(results, columns)]
    })
  ].join("\n")

/** One run of all parts of several runs on one machine, the later ones instead of the earlier. */
const merge = ([first, ...others]: Arr.NonEmptyReadonlyArray<Results>): Results => {
  const parts = new Map([first, ...others].flatMap(({ parts }) => parts.map((part) => [part.name, part] as const)))
  return { ...first, parts: [...parts.values()] }
}

const toMarkdown = ({ columns, rows }: TableResults, names: ReadonlyArray<string>): string => {
  const chosen = columns.filter(({ name }) => names.includes(name))
  const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`
  const cells = (row: Row) =>
    row.skipped === undefined
      ? [...chosen.map(({ digits, name }) => toCell(row.figures[name], digits)), row.remark ?? ""]
      : [...chosen.map(() => ""), `skipped: ${row.skipped}`]
  return [
    line(["", ...chosen.map(({ name }) => name), ""]),
    line(["---", ...chosen.map(() => "---:"), "---"]),
    ...rows.map((row) => line([row.name, ...cells(row)]))
  ].join("\n")
}

const toCell = (figure: Figure | undefined, digits: number): string => {
  if (figure === undefined) return ""
  const text = figure.median.toFixed(digits)
  return figure.ratio === undefined || figure.ratio === 1 ? text : `${text} (${figure.ratio.toFixed(2)}×)`
}

class NoSection extends Data.TaggedError("NoSection")<{ readonly path: string }> {
  override get message() {
    return `${this.path} has no lines ${marks.begin} and ${marks.end}`
  }
}

/** Writes tables of the results between the marks of a document. */
export const write = Effect.fnUntraced(function* (path: string, results: Results, tables: ReadonlyArray<Shown>) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* fs.readFileString(path)
  const begin = text.indexOf(marks.begin)
  const end = text.indexOf(marks.end)
  if (begin === -1 || end < begin) return yield* new NoSection({ path })
  yield* fs.writeFileString(
    path,
    `${text.slice(0, begin + marks.begin.length)}\n${section(results, tables)}\n${text.slice(end)}`
  )
})

const command = Command.make(
  "bench:readme",
  {
    results: Argument.FileSchema("figures", Results, { format: "json" }).pipe(
      Argument.withDescription("The outputs of npm run bench -- --json"),
      Argument.variadic({ min: 1 }),
      Argument.filterMap(Option.liftPredicate(Arr.isReadonlyArrayNonEmpty), () => "at least one file")
    )
  },
  ({ results: runs }) => {
    const results = merge(runs)
    return Effect.andThen(
      write(Path.resolve(import.meta.dirname, "../../README.md"), results, shown.slice(0, 1)),
      write(Path.resolve(import.meta.dirname, "README.md"), results, shown)
    )
  }
).pipe(Command.withDescription("Writes the tables of figures into the documents."))

if (import.meta.main) {
  Command.run(command, { version: "1" }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
}
