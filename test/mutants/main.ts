/**
 * Changes the source in small ways, one at a time, and finds the changes that no test notices: `npm run test:mutants`, with
 * flags behind two more dashes. It never runs in CI.
 *
 *     npm run test:mutants                              every change of every room below; hours
 *     npm run test:mutants -- --room usage,watch        of some rooms
 *     npm run test:mutants -- --since main              in lines that differ from a commit
 *     npm run test:mutants -- --sample 10 --seed 3      a random tenth, which the seed chooses
 *
 * StrykerJS makes the changes; `runner.ts` runs, for each, the tests that execute it. Texts for people are left alone.
 * A change that a test notices, or that lets tests hang, counts as noticed; the others are printed with their places.
 * A run that SIGTERM ends prints what it has found so far.
 */
import { Stryker } from "@stryker-mutator/core"
import { execFileSync } from "node:child_process"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { counts } from "./plugins.ts"

/** The rooms, and the tests that must notice a change of each. */
const rooms: Readonly<Record<string, ReadonlyArray<string>>> = {
  domain: ["test/domain", "test/Config.test.ts", "test/agentapi/calls/*.test.ts"],
  batcher: ["test/batcher", "test/metadata"],
  pubsub: ["test/pubsub", "test/Config.test.ts"],
  metadata: ["test/metadata", "test/Config.test.ts"],
  usage: ["test/usage", "test/agentapi/calls/Stats.test.ts"],
  wire: ["test/wire", "test/agentapi/wire"],
  tailnet: ["test/tailnet"],
  watch: ["test/watch"]
}

/** Pieces of the source as Stryker names them: files, or lines of files. */
const changedSince = (commit: string): ReadonlyArray<string> => {
  const pieces: Array<string> = []
  let file = ""
  const diff = execFileSync("git", ["diff", "--unified=0", "--relative", "--diff-filter=AM", commit, "--", "src"], {
    encoding: "utf8",
    maxBuffer: 2 ** 28
  })
  for (const line of diff.split("\n")) {
    if (line.startsWith("+++ b/")) file = line.slice("+++ b/".length)
    const [, first, count = "1"] = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line) ?? []
    if (first !== undefined && count !== "0") pieces.push(`${file}:${first}-${Number(first) + Number(count) - 1}`)
  }
  return pieces
}

const { values } = parseArgs({
  options: {
    room: { type: "string", default: Object.keys(rooms).join() },
    since: { type: "string" },
    sample: { type: "string", default: "100" },
    seed: { type: "string", default: "0" },
    concurrency: { type: "string", default: "1" }
  }
})

const print = (line: string) => process.stdout.write(`${line}\n`)

const judge = async (room: string) => {
  const tests = rooms[room]
  if (tests === undefined) throw new Error(`--room takes ${Object.keys(rooms).join(", ")} (got ${room})`)
  const mutate =
    values.since === undefined
      ? [`src/${room}/**/*.ts`, "!src/wire/generated/**"]
      : changedSince(values.since).filter((piece) => piece.startsWith(`src/${room}/`) && !piece.includes("/generated/"))
  if (mutate.length === 0) return undefined

  // for the processes that Stryker starts
  process.env["MUTANT_TESTS"] = tests.join()
  process.env["MUTANT_SAMPLE"] = values.sample
  process.env["MUTANT_SEED"] = values.seed
  const before = { ...counts }
  await new Stryker({
    mutate: [...mutate],
    plugins: [Path.resolve("test/mutants/plugins.ts")],
    testRunner: "kept",
    ignorers: ["texts"],
    // Stryker copies the project without these
    ignorePatterns: ["dist", "*.tgz", ".metadata-batcher"],
    // TypeScript 7 has no compiler API, without which Stryker cannot read this file
    tsconfigFile: "none",
    disableTypeChecks: false,
    allowEmpty: true,
    reporters: [process.stdout.isTTY ? "progress" : "progress-append-only", "unnoticed"],
    concurrency: Number(values.concurrency),
    // the runner ends what hangs, and long before
    timeoutMS: 600_000,
    dryRunTimeoutMinutes: 10
  }).runMutationTest()

  return { room, judged: counts.judged - before.judged, noticed: counts.noticed - before.noticed }
}

interface Counts {
  readonly judged: number
  readonly noticed: number
}

const shareOf = ({ judged, noticed }: Counts) => `${((100 * noticed) / judged).toFixed(1)} % noticed`

const sample = values.sample === "100" ? "" : `, in a sample of ${values.sample} % with the seed ${values.seed}`

const printAll = (of: string) =>
  print(
    counts.judged === 0
      ? "nothing to judge"
      : `${of}: ${shareOf(counts)} (${counts.noticed} of ${counts.judged})${sample}`
  )

process.once("SIGTERM", () => {
  printAll("so far")
  process.exit(1)
})

const reports: Array<Counts & { readonly room: string }> = []
for (const room of values.room.split(",")) {
  const report = await judge(room)
  if (report !== undefined) reports.push(report)
}
for (const report of reports) print(`${report.room}: ${shareOf(report)} (${report.noticed} of ${report.judged})`)
printAll("all")
