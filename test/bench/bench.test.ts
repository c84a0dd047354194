/** The benchmark itself, run as people run it, with very little to do. It checks no figure. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import * as Path from "node:path"
import { compileCache, emptyFolder } from "../support/folder.ts"
import * as Readme from "./readme.ts"
import * as Results from "./Results.ts"

/** Runs the benchmark, and returns what it prints. One that fails says what it said last. */
const bench = Effect.fnUntraced(
  function* (flags: ReadonlyArray<string>, env: Record<string, string> = {}) {
    const handle = yield* ChildProcess.make(
      process.execPath,
      ["--expose-gc", Path.join(import.meta.dirname, "main.ts"), ...flags],
      {
        // it is no test, though a test starts it
        env: { ...compileCache(), VITEST: undefined, ...env },
        extendEnv: true
      }
    )
    const [output, errors, code] = yield* Effect.all(
      [
        Stream.mkString(Stream.decodeText(handle.stdout)),
        Stream.mkString(Stream.decodeText(handle.stderr)),
        handle.exitCode
      ],
      { concurrency: "unbounded" }
    )
    assert.strictEqual(code, 0, `${output.slice(-2_000)}${errors.slice(-2_000)}`)
    return output
  },
  Effect.scoped,
  Effect.provide(NodeServices.layer)
)

describe("npm run bench", () => {
  it.live(
    "has figures for every contestant of every part, or says why it skipped one, and a README of them",
    () =>
      Effect.gen(function* () {
        const results = yield* Effect.flatMap(bench(["--smoke", "--json"]), Results.fromJson)
        const { parts } = results

        assert.deepStrictEqual(
          parts.map(({ name }) => name),
          ["hot", "write", "store", "report", "wire", "pubsub", "system", "workers", "watch", "tailnet", "start"]
        )
        for (const { name, tables } of parts) {
          assert.isNotEmpty(tables, name)
          for (const { columns, reference, rows, title } of tables) {
            assert.isAtLeast(rows.length, 2, title)
            if (reference !== undefined)
              assert.include(
                rows.map(({ name }) => name),
                reference
              )
            for (const { figures, name, skipped } of rows) {
              if (skipped === undefined) assert.property(figures, columns[0]!.name, `${title}: ${name}`)
              else assert.isNotEmpty(skipped)
            }
          }
        }

        const fs = yield* FileSystem.FileSystem
        const readme = Path.join(yield* emptyFolder, "README.md")
        yield* fs.writeFileString(readme, "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
        yield* Readme.write(readme, results, Readme.shown)
        const text = yield* fs.readFileString(readme)
        assert.match(text, /^before\n<!-- bench -->\nMedians of 1 .*\n<!-- \/bench -->\nafter\n$/s)
        assert.match(text, /^\| MetadataBatcher \| \d+ \|/m)
        assert.strictEqual(text.match(/^\*\*/gm)?.length, Readme.shown.length)
      }).pipe(Effect.provide(NodeServices.layer)),
    120_000
  )

  it.live("runs the given parts, prints their tables, and names the contestants that cannot run", () =>
    Effect.gen(function* () {
      const text = yield* bench(["--smoke", "--part", "hot"], { PATH: "" })

      assert.include(text, "# hot: ")
      assert.notInclude(text, "# write: ")
      assert.match(text, /^MetadataBatcher +[\d.]+ +1\.00 /m)
      assert.match(text, /^the original's algorithm +skipped: there is no go on the path$/m)
    })
  )
})
