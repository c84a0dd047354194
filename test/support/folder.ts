import { inject } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { execFileSync } from "node:child_process"
import * as Path from "node:path"
import * as Bundle from "./bundle.ts"

/** The folder of a run of the tests; the benchmark has none. */
const testFolder = () => (process.env["VITEST"] === undefined ? undefined : inject("testFolder"))

/** The path at which a process finds a program of this repository. */
export const programAt = (path: string): string => Bundle.pathOf(path, testFolder())

/** A folder that everyone can enter and that disappears with the test, behind the servers that use it. */
export const emptyFolder = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped({ directory: testFolder() })
  yield* fs.chmod(folder, 0o755)
  return folder
})

/** Copies the data of a server that does not run, whoever owns it. */
export const copyData = (from: string, to: string) =>
  Effect.sync(() => execFileSync("cp", ["-a", Path.join(from, "cluster"), to]))

/** The name of the data of a server that has started once, in the folder of a run. */
export const startedData = "started"

/** A folder with such data: the first start of a server takes a second of a processor, which only some tests are about. */
export const dataFolder = Effect.tap(emptyFolder, (folder) =>
  copyData(Path.join(inject("testFolder"), startedData), folder)
)

/** Lets the processes of a run compile each module once: half of their start is that. */
export const compileCache = (): Readonly<Record<string, string>> => {
  const folder = testFolder()
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: Path.join(folder, "compiled") }
}
