/** A day of the demonstration, in three minutes: an hour of it is eight seconds, and its retentions are as much shorter. */
import { describe } from "@effect/vitest"
import { Duration, Effect, FileSystem, Option, Schedule } from "effect"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Database from "./Database.ts"
import * as Replica from "./Replica.ts"
import { expect, lasting, scenario } from "./scenario.ts"
import * as World from "./World.ts"

const secondsOfHour = 8

const hours = (count: number) => `${count * secondsOfHour} seconds`

/** The tables in which the demonstration leaves rows, their times, and the hours for which the rows are kept. */
const tables = [
  { table: "workspace_agent_logs", time: "created_at", kept: 4, setting: "RETENTION_LOGS" },
  { table: "workspace_agent_stats", time: "created_at", kept: 6, setting: "RETENTION_STATS" },
  { table: "connection_logs", time: "connect_time", kept: 4, setting: "RETENTION_CONNECTIONS" },
  { table: "workspace_agent_script_timings", time: "ended_at", kept: 6, setting: "RETENTION_SCRIPT_TIMINGS" }
] as const

/** The seconds by which a pass may be late: it waits for those of other tables. */
const slack = 5

const day = Effect.gen(function* () {
  const folder = yield* emptyFolder
  const replica = yield* Replica.start({
    DATA_DIR: folder,
    DEMO_AGENTS: "20",
    RETENTION_INTERVAL: hours(1),
    ...Object.fromEntries(tables.map(({ kept, setting }) => [setting, hours(kept)]))
  })
  const address = yield* World.settle(
    Effect.sync(() => /embedded: (postgresql:\S+)/.exec(replica.output())?.[1]),
    (found) => found !== undefined
  )
  const url = new URL(address!)
  const fs = yield* FileSystem.FileSystem
  url.password = yield* fs.readFileString(EmbeddedPostgres.passwordFileOf(folder))
  /** The rows of each table, and the age of the oldest in seconds. */
  const look = Database.at(url.href).using((sql) =>
    Effect.forEach(tables, ({ table, time }) =>
      Effect.map(
        sql<{ rows: number; age: number }>`
          SELECT count(*)::integer AS rows, coalesce(extract(epoch FROM now() - min(${sql(time)})), 0)::float8 AS age
          FROM ${sql(table)}`,
        ([found]) => found!
      )
    )
  )

  const looks: Array<Effect.Success<typeof look>> = []
  yield* Effect.map(look, (found) => looks.push(found)).pipe(
    Effect.repeat(Schedule.spaced("2 seconds")),
    Effect.raceFirst(lasting(Duration.seconds(24 * secondsOfHour)))
  )
  const { text: metrics } = yield* replica.get("/metrics")
  const problems = tables.flatMap(({ kept, table }, index) => {
    const allowed = (kept + 1) * secondsOfHour + slack
    const oldest = Math.max(...looks.map((found) => found[index]!.age))
    const rows = looks.map((found) => found[index]!.rows)
    const half = Math.floor(rows.length / 2)
    const [early, late] = [Math.max(...rows.slice(0, half)), Math.max(...rows.slice(half))]
    const purged = Option.fromNullishOr(
      new RegExp(`^coderd_dbpurge_records_purged_total\\{record_type="${table}"\\} (\\d+)`, "m").exec(metrics)
    )
    return [
      ...expect(early > 0, `${table} never had a row`),
      ...expect(oldest <= allowed, `${table} had a row of ${oldest} s; ${allowed} s are allowed`),
      ...expect(late <= 1.5 * early + 20, `${table} grew from ${early} to ${late} rows`),
      ...expect(
        Option.exists(purged, ([, count]) => Number(count) > 0),
        `no row of ${table} was deleted`
      )
    ]
  })
  return { accepted: 0, present: 0, lost: 0, counted: yield* replica.counted, problems }
})

describe("a day", () => {
  scenario("31 · a day of the demonstration leaves each table within its retention", day)
})
