import { inject } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as Path from "node:path"

/** The folder of a run of the tests; the benchmark has none. */
const testFolder = () => (process.env["VITEST"] === undefined ? undefined : inject("testFolder"))

/** A folder that everyone can enter and that disappears with the test, behind the servers that use it. */
export const emptyFolder = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped({ directory: testFolder() })
  yield* fs.chmod(folder, 0o755)
  return folder
})

/** Lets the processes of a run compile each module once: half of their start is that. */
export const compileCache = (): Readonly<Record<string, string>> => {
  const folder = testFolder()
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: Path.join(folder, "compiled") }
}
