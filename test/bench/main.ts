/**
 * The benchmark: `npm run bench`, with flags behind two more dashes.
 *
 *     npm run bench                              every part; minutes
 *     npm run bench -- --part hot,write          some of them
 *     npm run bench -- --rounds 9                more rounds, for closer figures
 *     npm run bench -- --json > figures.json     the same as JSON
 *     npm run bench -- --smoke                   everything tiny, to see that it works; seconds
 *
 * A part is one file that makes tables, a table a list of contestants who do the same work. To add a contestant, add it to
 * such a list; to add a part, add it to the list below. Figures of one table were measured in turns and can be compared;
 * figures of different runs, or of different machines, cannot.
 */
import "effect/schema/SchemaJITCompiler/enable"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Array, Console, Data, Effect, Logger, Option, References, Runtime, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Os from "node:os"
import { hot } from "./hot.ts"
import { pubsub } from "./pubsub.ts"
import { report } from "./report.ts"
import * as Results from "./Results.ts"
import * as Rounds from "./Rounds.ts"
import type { Part, Scale, Table } from "./Table.ts"
import * as Service from "./Service.ts"
import { start } from "./start.ts"
import { store } from "./store.ts"
import { system } from "./system.ts"
import { tailnet } from "./tailnet.ts"
import { watch } from "./watch.ts"
import { wire } from "./wire.ts"
import { workers } from "./workers.ts"
import { write } from "./write.ts"

const parts: ReadonlyArray<Part> = [hot, write, store, report, wire, pubsub, system, workers, watch, tailnet, start]

const machine = (): Results.Results["machine"] => ({
  cpu: Os.cpus()[0]?.model.trim() ?? "unknown",
  cores: Os.availableParallelism(),
  memoryGiB: Math.round(Os.totalmem() / 2 ** 30),
  platform: `${Os.type()} ${Os.release()} ${Os.arch()}`,
  node: process.versions.node
})

const measure = Effect.fnUntraced(function* (part: Part, scale: Scale, rounds: number) {
  const measureTable = (table: Table) => {
    const most = Math.min(rounds, table.rounds ?? rounds)
    return Rounds.run(table, {
      rounds: most,
      warmUps: scale === "full" && table.warmsUp !== false ? 2 : 0,
      onTurn: ({ contestant, round }) =>
        Console.error(
          `${part.name}/${table.name}: ${round > 0 ? `round ${round} of ${most}` : "warm-up"}, ${contestant}`
        )
    })
  }
  yield* Console.error(`${part.name}: preparing`)
  const tables = yield* Effect.forEach(yield* part.tables(scale), measureTable)
  return { name: part.name, description: part.description, tables }
}, Effect.scoped)

class PartFailed extends Data.TaggedError("PartFailed")<{ readonly part: string }> {
  override get message() {
    return `the process of the part ${this.part} ended without figures; what it said stands above`
  }
}

/** A part in a process of its own: what others leave behind, in the heap and in compiled code, would count with it. */
const measureApart = Effect.fnUntraced(function* (part: Part, rounds: number) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const flags = ["--part", part.name, "--rounds", String(rounds), "--json"]
  const json = yield* spawner.string(
    ChildProcess.make(process.execPath, [...process.execArgv, import.meta.filename, ...flags], { stderr: "inherit" })
  )
  const { parts } = yield* Effect.mapError(Results.fromJson(json), () => new PartFailed({ part: part.name }))
  return parts
})

const measureAll = (selected: ReadonlyArray<Part>, rounds: number) =>
  selected.length === 1
    ? Effect.forEach(selected, (part) => measure(part, "full", rounds))
    : Effect.map(
        Effect.forEach(selected, (part) => measureApart(part, rounds)),
        Array.flatten
      )

/** Figures that mean nothing may disturb each other, and share a Postgres. */
const tryAll = (selected: ReadonlyArray<Part>) => {
  const all = Effect.forEach(selected, (part) => measure(part, "smoke", 1), { concurrency: 3 })
  return selected.length === 1 ? all : Effect.provide(all, Service.layer)
}

const names = parts.map(({ name }) => name)

const command = Command.make(
  "bench",
  {
    selected: Flag.String("part").pipe(
      Flag.withDescription(`The parts to run, separated by commas, of: ${names.join(", ")}. Default: all`),
      Flag.filterMap(
        (list) =>
          Option.all(list.split(",").map((name) => Option.fromUndefinedOr(parts.find((part) => part.name === name)))),
        () => `names out of ${names.join(", ")}, separated by commas`
      ),
      Flag.withDefault(parts)
    ),
    rounds: Flag.Int("rounds").pipe(
      Flag.withDescription("How often each contestant is measured. Default: 5"),
      Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))),
      Flag.withDefault(5)
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print JSON instead of tables"), Flag.withDefault(false)),
    smoke: Flag.Boolean("smoke").pipe(
      Flag.withDescription("Do one round of very little work, to see that everything works"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function* ({ json, rounds, selected, smoke }) {
    const results: Results.Results = {
      machine: machine(),
      scale: smoke ? "smoke" : "full",
      rounds: smoke ? 1 : rounds,
      parts: yield* smoke ? tryAll(selected) : measureAll(selected, rounds)
    }
    yield* Console.log(json ? JSON.stringify(results, undefined, 2) : Results.toText(results))
  })
).pipe(
  Command.withDescription(
    [
      "Measures the parts of this project against their peers and limits.",
      "Contestants of a table do the same work in turns, so that figures of one table can be compared; those of different",
      "runs cannot. Progress goes to the standard error. For figures that mean something leave the machine alone."
    ].join("\n")
  ),
  Command.withExamples([
    { command: "npm run bench", description: "Run everything" },
    { command: "npm run bench -- --part hot,write --rounds 9", description: "Run two parts with more rounds" },
    { command: "npm run bench -- --json > figures.json", description: "Keep the figures" }
  ])
)

Command.run(command, { version: "1" }).pipe(
  // as the service runs
  Effect.provideService(References.TracerEnabled, false),
  Effect.provideService(Logger.LogToStderr, true),
  Effect.provide(NodeServices.layer),
  // timers of contestants that cannot be told to end would keep the process for seconds
  NodeRuntime.runMain({ teardown: (exit) => Runtime.defaultTeardown(exit, (code) => process.exit(code)) })
)
