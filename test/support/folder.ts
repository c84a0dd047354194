import { inject } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as Path from "node:path"

/** A folder that everyone can enter and that disappears with the test, behind the servers that use it. */
export const emptyFolder = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped({ directory: inject("testFolder") })
  yield* fs.chmod(folder, 0o755)
  return folder
})

/** Lets the processes of a run compile each module once: half of their start is that. */
export const compileCache = () => ({ NODE_COMPILE_CACHE: Path.join(inject("testFolder"), "compiled") })
