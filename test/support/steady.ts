/**
 * `npm run test:steady`: runs the tests again and again, prints which tests fail in which run, and fails if any did.
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

let failedRuns = 0
try {
  for (let run = 1; run <= times; run++) {
    const file = Path.join(folder, `${run}.json`)
    const seed = String(run)
    const begun = performance.now()
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        Path.resolve("node_modules/vitest/vitest.mjs"),
        "run",
        "--reporter=json",
        `--outputFile=${file}`,
        ...(values.shuffle ? ["--sequence.shuffle", `--sequence.seed=${seed}`] : []),
        ...positionals
      ],
      { encoding: "utf8", stdio: ["ignore", "ignore", "pipe"], maxBuffer: 2 ** 28 }
    )
    const seconds = ((performance.now() - begun) / 1_000).toFixed(0)
    const report: Report = JSON.parse(readFileSync(file, "utf8"))
    const order = values.shuffle ? `, in the order of the seed ${seed}` : ""
    const outcome = status === 0 ? "passed" : "FAILED"
    print(
      `run ${run} of ${times} ${outcome}: ${report.numTotalTests} tests in ${seconds} s${order}, load ${loadavg()[0]!.toFixed(1)}`
    )
    if (status === 0) continue
    failedRuns++
    for (const failure of failuresOf(report)) print(`  ${failure}`)
    print(`  ${/^FUZZ_SEED=\S+/m.exec(stderr)?.[0] ?? ""}`)
  }
} finally {
  for (const loop of loops) loop.kill()
  rmSync(folder, { recursive: true, force: true })
}
print(`${times - failedRuns} of ${times} runs passed`)
process.exitCode = failedRuns === 0 ? 0 : 1
