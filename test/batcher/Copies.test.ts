/** Two copies of the library, or of effect, in one process. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { build } from "esbuild"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"

/** Makes a batcher, and returns what is logged of copies. */
const warnings = ({ make }: Pick<typeof Batcher, "make">, run = Effect.runPromise) => {
  const logs: Array<LogRecord> = []
  return run(
    make({ accumulator: Accumulator.fifo<number>(), write: () => Effect.void }).pipe(
      Effect.scoped,
      collectLogs(logs),
      Effect.map(() => logs.map(({ message }) => message).filter((message) => message.includes("copies")))
    )
  )
}

const ofCopy = (name: string) => [
  `two copies of ${name} are in this process, which share neither services nor metrics: keep one, for example with npm dedupe`
]

describe("a batcher", () => {
  it("warns once of a second copy of the library, and once of one of effect [BA-36]", async () => {
    const folder = await mkdtemp(join(tmpdir(), "metadata-batcher-copies-"))
    try {
      assert.deepStrictEqual(await warnings(Batcher), [])
      // @ts-expect-error a query makes a module another one
      const other = (await import("../../src/batcher/Batcher.ts?copy")) as typeof Batcher
      assert.deepStrictEqual(await warnings(other), ofCopy("metadata-batcher"))
      assert.deepStrictEqual(await warnings(Batcher), [])

      const outfile = join(folder, "effect.mjs")
      const contents = `export { runPromise } from "effect/Effect"`
      await build({ stdin: { contents, resolveDir: process.cwd() }, bundle: true, format: "esm", outfile })
      const { runPromise } = (await import(pathToFileURL(outfile).href)) as Pick<typeof Effect, "runPromise">
      assert.deepStrictEqual(await warnings(Batcher, runPromise), ofCopy("effect"))
      assert.deepStrictEqual(await warnings(Batcher, runPromise), [])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
