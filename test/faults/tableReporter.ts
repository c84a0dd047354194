/** Prints what became of the samples of each scenario, when all have ended. */
import type { Reporter, TestCase, TestModule } from "vitest/node"
import type { Figures } from "./scenario.ts"

/** Stands between the title of a scenario that is left out and the reason. */
export const leftOut = " · left out: "

const columns = ["scenario", "accepted", "present", "lost", "counted", "verdict"] as const

const cells = (name: string, figures: Figures | undefined, verdict: string): ReadonlyArray<string> => [
  name,
  ...(["accepted", "present", "lost", "counted"] as const).map((column) => String(figures?.[column] ?? "–")),
  verdict
]

const row = (test: TestCase) => {
  const [name = "", why] = test.name.split(leftOut)
  const verdict = test.result().state === "passed" ? "holds" : "FAILS"
  return cells(name, test.meta().figures, why === undefined ? verdict : `left out: ${why}`)
}

const toText = (rows: ReadonlyArray<ReadonlyArray<string>>) => {
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 || column === columns.length - 1 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
        )
        .join("  ")
    )
    .join("\n")
}

export default class TableReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>) {
    const rows = modules
      .flatMap((module) => [...module.children.allTests()])
      .filter((test) => test.result().state !== "skipped" || test.name.includes(leftOut))
      .map(row)
      .toSorted(([a = ""], [b = ""]) => a.localeCompare(b, "en", { numeric: true }))
    if (rows.length > 0) process.stdout.write(`\n${toText([columns, ...rows])}\n`)
  }
}
