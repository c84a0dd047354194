/** The part of Stryker that knows this project: it leaves changes out, and prints those that no test notices. */
import type { Ignorer } from "@stryker-mutator/api/ignore"
import type { MutantResult } from "@stryker-mutator/api/core"
import { PluginKind, declareClassPlugin, declareValuePlugin } from "@stryker-mutator/api/plugin"
import type { Reporter } from "@stryker-mutator/api/report"
import { readFileSync } from "node:fs"
import * as Path from "node:path"
import { Runner } from "./runner.ts"
import { isInSample, notInSample } from "./sample.ts"

/** Texts for people, and the names of services and of brands: a change of them changes no behaviour. */
const texts: Ignorer = {
  shouldIgnore(path) {
    const { node, parent } = path as {
      node: { type: string; value?: unknown; quasis?: ReadonlyArray<{ value: { raw: string } }> }
      parent?: { callee?: { property?: { name?: string } } }
    }
    if (parent?.callee?.property?.name === "brand") return "the name of a brand"
    const text =
      node.type === "StringLiteral"
        ? String(node.value)
        : node.type === "TemplateLiteral"
          ? node.quasis!.map(({ value }) => value.raw).join("…")
          : ""
    return /\s|^metadata-batcher\//.test(text) ? "a text for people" : undefined
  }
}

/** One line, however long the text. */
const inShort = (text: string) => {
  const line = text.replaceAll(/\s+/g, " ").trim()
  return line.length > 100 ? `${line.slice(0, 99)}…` : line
}

/** How many changes of this process have been judged, and how many of them a test has noticed. */
export const counts = { judged: 0, noticed: 0 }

/** Counts the changes, and prints each that no test notices, with its place, as soon as that is known. */
class Unnoticed implements Reporter {
  onMutantTested(result: Readonly<MutantResult>): void {
    const { location, mutatorName, replacement, status } = result
    const fileName = Path.relative(".", result.fileName)
    if (status === "Ignored" || result.statusReason === notInSample) return
    if (status === "RuntimeError") {
      process.stdout.write(`${fileName}:${location.start.line} not judged: ${inShort(result.statusReason ?? "")}\n`)
      return
    }
    // the runner, which leaves out what is not in the sample, is not asked of changes that no test executes
    if (status === "NoCoverage" && !isInSample({ ...result, fileName })) return
    counts.judged++
    if (status !== "Survived" && status !== "NoCoverage") {
      counts.noticed++
      return
    }
    const { end, start } = location
    const lines = readFileSync(fileName, "utf8")
      .split("\n")
      .slice(start.line - 1, end.line)
    const before = [...lines.slice(0, -1), lines.at(-1)!.slice(0, end.column - 1)].join("\n").slice(start.column - 1)
    const how = status === "NoCoverage" ? "no test executes it" : mutatorName
    process.stdout.write(
      `${fileName}:${start.line}:${start.column} ${how}: ${inShort(before)} → ${inShort(replacement ?? "")}\n`
    )
  }
}

export const strykerPlugins = [
  declareClassPlugin(PluginKind.Reporter, "unnoticed", Unnoticed),
  declareValuePlugin(PluginKind.Ignore, "texts", texts),
  declareClassPlugin(PluginKind.TestRunner, "kept", Runner)
]
