import { inject } from "@effect/vitest"
import { Effect, FileSystem } from "effect"

/** A folder that everyone can enter and that disappears with the test, behind the servers that use it. */
export const emptyFolder = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped({ directory: inject("testFolder") })
  yield* fs.chmod(folder, 0o755)
  return folder
})
