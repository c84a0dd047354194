/** The generic batcher and the chunks of ids in a world without Node. */
import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { createContext, runInContext } from "node:vm"
import { gzipSync } from "node:zlib"
import { expected } from "../runtimes/expected.ts"

const bundle = async (contents: string, external: Array<string> = []) => {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: process.cwd(), loader: "ts" },
    alias: { "metadata-batcher": "./src/index.ts" },
    bundle: true,
    external,
    format: external.length === 0 ? "iife" : "esm",
    globalName: "bundle",
    logLevel: "error",
    minify: true,
    platform: "browser",
    write: false
  })
  return outputFiles[0]!.text
}

const modules = ["metadata/MetadataStore", "pubsub/PubSub", "usage/UsageStore", "domain/PlainIds"]

let made: ReturnType<typeof buildModules> | undefined
const bundles = () => (made ??= buildModules())

/** A bundle of each of the modules. */
const buildModules = () =>
  build({
    entryPoints: modules.map((module) => `src/${module}.ts`),
    outbase: "src",
    outdir: ".",
    bundle: true,
    format: "esm",
    metafile: true,
    platform: "browser",
    write: false
  })

describe("in a browser", () => {
  it("batches and announces without a global of Node [BA-34]", async () => {
    const { AbortController, clearTimeout, console, performance, setTimeout, TextDecoder, TextEncoder } = globalThis
    const world = createContext({
      AbortController,
      clearTimeout,
      console,
      performance,
      setTimeout,
      TextDecoder,
      TextEncoder
    })
    assert.strictEqual(
      runInContext("typeof Buffer + typeof process + typeof setImmediate", world),
      "undefined".repeat(3)
    )

    runInContext(await bundle(`export { run } from "./test/runtimes/program.ts"`), world)
    const result = await (runInContext("bundle.run()", world) as Promise<string>)

    assert.strictEqual(result, expected)
  })

  it.each(modules)("has no Schema in the bundle of %s [BA-35]", async (module) => {
    const { outputs } = (await bundles()).metafile
    const used = Object.entries(outputs[`${module}.js`]!.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0)

    assert.isAbove(used.length, 0)
    assert.deepStrictEqual(
      used.map(([path]) => path).filter((path) => /\/Schema[A-Za-z]*\.(js|ts)$/.test(path)),
      []
    )
  })

  it("is at most 14 kB of its own, minified and compressed [BA-34]", async () => {
    const own = await bundle(
      `export * from "./src/batcher/Batcher.ts"; export * as Accumulator from "./src/batcher/Accumulator.ts"`,
      ["effect"]
    )

    assert.isBelow(gzipSync(own).length, 14_000)
  })
})
