/**
 * `npm run test:steady`: runs the tests of `npm test` and of `npm run test:e2e` again and again, prints which fail in which run,
 * and fails if any did.
 *
 *     npm run test:steady -- --busy                ten times, beside a busy loop on each core
 *     npm run test:steady -- --shuffle --times 3   files, and the tests in each, in a random order
 *
 * Further arguments are those of Vitest, such as the tests to run: `npm run test:steady -- --busy test/watch`.
 */
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { availableParallelism, loadavg, tmpdir } from "node:os"
import * as Path from "node:path"
import { parseArgs } from "node:util"

interface Report {
  readonly numTotalTests: number
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{
      readonly fullName: string
      readonly status: string
      readonly failureMessages: ReadonlyArray<string>
    }>
  }>
}

const { positionals, values } = parseArgs({
  options: {
    times: { type: "string", default: "10" },
    busy: { type: "boolean", default: false },
    shuffle: { type: "boolean", default: false }
  },
  allowPositionals: true
})
const times = Number(values.times)

const print = (line: string) => process.stdout.write(`${line}\n`)
const folder = mkdtempSync(Path.join(tmpdir(), "metadata-batcher-steady-"))
const loops = values.busy
  ? Array.from({ length: availableParallelism() }, () =>
      // a loop ends with this process, however it ends
      spawn(
        process.execPath,
        [
          "-e",
          `process.stdin.on("end", process.exit).resume(); setInterval(() => {
        for (const end = performance.now() + 200; performance.now() < end; );
      })`
        ],
        { stdio: ["pipe", "ignore", "inherit"] }
      )
    )
  : []

/** The tests and the files that failed, each with the beginning of the reason. */
const failuresOf = ({ testResults }: Report): ReadonlyArray<string> =>
  testResults.flatMap(({ assertionResults, message, name, status }) => {
    const failed = assertionResults.filter((test) => test.status === "failed")
    const file = Path.relative(".", name)
    if (failed.length === 0) return status === "failed" ? [`${file}\n    ${message.slice(0, 400)}`] : []
    return failed.map(
      ({ failureMessages, fullName }) => `${file} > ${fullName}\n    ${failureMessages.join("\n").slice(0, 400)}`
    )
  })

/** The arguments of Vitest for `npm test` and `npm run test:e2e`. */
const commands: ReadonlyArray<ReadonlyArray<string>> = [[], ["--mode", "e2e"]]

const runTests = (command: ReadonlyArray<string>, seed: string) => {
  const file = Path.join(folder, `${[...command, seed].join("-")}.json`)
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      Path.resolve("node_modules/vitest/vitest.mjs"),
      "run",
      ...command,
      "--reporter=json",
      `--outputFile=${file}`,
      ...(values.shuffle ? ["--sequence.shuffle", `--sequence.seed=${seed}`] : []),
      ...positionals
    ],
    { encoding: "utf8", stdio: ["ignore", "ignore", "pipe"], maxBuffer: 2 ** 28 }
  )
  const report: Report = JSON.parse(readFileSync(file, "utf8"))
  // the tests that are asked for may all be those of the other command
  const passed = status === 0 || (positionals.length > 0 && report.testResults.length === 0)
  const reasons = passed ? [] : [...failuresOf(report), /^FUZZ_SEED=\S+/m.exec(stderr)?.[0] ?? ""]
  return { passed, tests: report.numTotalTests, reasons }
}

let failedRuns = 0
try {
  for (let run = 1; run <= times; run++) {
    const seed = String(run)
    const begun = performance.now()
    const results = commands.map((command) => runTests(command, seed))
    const seconds = ((performance.now() - begun) / 1_000).toFixed(0)
    const tests = results.reduce((sum, result) => sum + result.tests, 0)
    const passed = tests > 0 && results.every((result) => result.passed)
    const order = values.shuffle ? `, in the order of the seed ${seed}` : ""
    print(
      `run ${run} of ${times} ${passed ? "passed" : "FAILED"}: ${tests} tests in ${seconds} s${order}, load ${loadavg()[0]!.toFixed(1)}`
    )
    if (passed) continue
    failedRuns++
    for (const reason of results.flatMap(({ reasons }) => reasons)) print(`  ${reason}`)
  }
} finally {
  for (const loop of loops) loop.kill()
  rmSync(folder, { recursive: true, force: true })
}
print(`${times - failedRuns} of ${times} runs passed`)
process.exitCode = failedRuns === 0 ? 0 : 1
