/** The generic batcher and the chunks of ids in a world without Node. */
import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { createContext, runInContext } from "node:vm"
import { gzipSync } from "node:zlib"

const bundle = async (contents: string, external: Array<string> = []) => {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: process.cwd(), loader: "ts" },
    bundle: true,
    external,
    format: external.length === 0 ? "iife" : "esm",
    globalName: "bundle",
    minify: true,
    platform: "browser",
    write: false
  })
  return outputFiles[0]!.text
}

const program = `
import { Effect } from "effect"
import * as Accumulator from "./src/batcher/Accumulator.ts"
import * as Batcher from "./src/batcher/Batcher.ts"
import * as AgentIdChunks from "./src/metadata/AgentIdChunks.ts"
import * as Utf8 from "./src/domain/Utf8.ts"

export const run = () => Effect.runPromise(Effect.scoped(Effect.gen(function* () {
  const written: Array<string> = []
  const batcher = yield* Batcher.make({
    accumulator: Accumulator.fifo<string>(),
    maxBatchSize: 2,
    maxBatchBytes: 3,
    sizeOf: Utf8.byteLength,
    write: (batch) => Effect.sync(() => written.push(batch.join(" ")))
  })
  yield* batcher.add(["a", "é", "ccc"])
  yield* batcher.flush
  return [...written, ...AgentIdChunks.encode(["fbefbe00-ffff-4fff-bfff-00ffeeddccbb" as any])]
})))
`

describe("in a browser", () => {
  it("batches and announces without a global of Node [BA-34]", async () => {
    const { AbortController, clearTimeout, performance, setTimeout, TextDecoder, TextEncoder } = globalThis
    const world = createContext({ AbortController, clearTimeout, performance, setTimeout, TextDecoder, TextEncoder })
    assert.strictEqual(
      runInContext("typeof Buffer + typeof process + typeof setImmediate", world),
      "undefined".repeat(3)
    )

    runInContext(await bundle(program), world)
    const written = await (runInContext("bundle.run()", world) as Promise<ReadonlyArray<string>>)

    assert.deepStrictEqual([...written], ["a é", "ccc", "++++AP//T/+//wD/7t3Muw"])
  })

  it("is at most 14 kB of its own, minified and compressed [BA-34]", async () => {
    const own = await bundle(
      `export * from "./src/batcher/Batcher.ts"; export * as Accumulator from "./src/batcher/Accumulator.ts"`,
      ["effect"]
    )

    assert.isBelow(gzipSync(own).length, 14_000)
  })
})
