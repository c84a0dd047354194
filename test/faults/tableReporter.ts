/** Prints what became of the samples of each scenario, when all have ended. */
import type { Reporter, TestModule } from "vitest/node"
import type { Figures } from "./scenario.ts"

const columns = ["scenario", "accepted", "present", "lost", "counted", "verdict"] as const

const cells = (name: string, figures: Figures | undefined, passed: boolean): ReadonlyArray<string> => [
  name,
  ...(["accepted", "present", "lost", "counted"] as const).map((column) => String(figures?.[column] ?? "–")),
  passed ? "holds" : "FAILS"
]

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
      .filter((test) => test.result().state !== "skipped")
      .map((test) => cells(test.name, test.meta().figures, test.result().state === "passed"))
      .toSorted(([a = ""], [b = ""]) => a.localeCompare(b, "en", { numeric: true }))
    if (rows.length > 0) process.stdout.write(`\n${toText([columns, ...rows])}\n`)
  }
}
