/** The part of Stryker that knows this project: it leaves changes out. */
import type { Ignorer } from "@stryker-mutator/api/ignore"
import { type Injector, PluginKind, declareFactoryPlugin, declareValuePlugin } from "@stryker-mutator/api/plugin"
import type { TestRunner } from "@stryker-mutator/api/test-runner"
import { strykerPlugins as vitestPlugins } from "@stryker-mutator/vitest-runner"
import * as Path from "node:path"
import { isInSample } from "./sample.ts"

/** Texts for people, and the names of services: a change of them changes no behaviour. */
const texts: Ignorer = {
  shouldIgnore(path) {
    const { node } = path as {
      node: { type: string; value?: unknown; quasis?: ReadonlyArray<{ value: { raw: string } }> }
    }
    const text =
      node.type === "StringLiteral"
        ? String(node.value)
        : node.type === "TemplateLiteral"
          ? node.quasis!.map(({ value }) => value.raw).join("…")
          : ""
    return /\s|^metadata-batcher\//.test(text) ? "a text for people" : undefined
  }
}

/** The runner of Vitest, which leaves changes alone that are not in the sample. */
const sampled = (injector: Injector) => {
  const runner = vitestPlugins[0]!.factory(injector as never) as TestRunner
  const run = runner.mutantRun.bind(runner)
  runner.mutantRun = (options) => {
    const { activeMutant } = options
    return isInSample({ ...activeMutant, fileName: Path.relative(".", activeMutant.fileName) })
      ? run(options)
      : Promise.resolve({ status: "error", errorMessage: "not in the sample" } as never)
  }
  return runner
}
sampled.inject = ["$injector"] as const

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, "texts", texts),
  declareFactoryPlugin(PluginKind.TestRunner, "sampled", sampled as never)
]
