/**
 * A wall clock that a scenario steps while a process runs: libfaketime reads the offset from a file once a second.
 *
 * The monotonic clock of the process is left alone, as it is when somebody sets the clock of a machine.
 */
import { Effect, FileSystem } from "effect"
import { existsSync } from "node:fs"
import * as Path from "node:path"
import { emptyFolder } from "../support/folder.ts"

export type FakeClock = Effect.Success<typeof make>

const libraries = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
  "/usr/lib64/faketime/libfaketime.so.1",
  "/usr/lib/faketime/libfaketime.so.1"
]

/** A clock that is right until it is stepped. */
export const make = Effect.gen(function* () {
  const library = libraries.find((path) => existsSync(path))
  if (library === undefined) {
    return yield* Effect.die(new Error("libfaketime is missing: install it with apt-get install libfaketime"))
  }
  const fs = yield* FileSystem.FileSystem
  const file = Path.join(yield* emptyFolder, "offset")
  const step = Effect.fnUntraced(function* (seconds: number) {
    // the file is replaced as a whole, so that no reader sees half of it
    yield* fs.writeFileString(`${file}.new`, `${seconds < 0 ? "" : "+"}${seconds}\n`)
    yield* fs.chmod(`${file}.new`, 0o644)
    yield* fs.rename(`${file}.new`, file)
  }, Effect.orDie)
  yield* step(0)
  return {
    /** Sets the clock off by this many seconds. The process notices within a second. */
    step,
    /** The environment of a process that goes by this clock. */
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1"
    }
  }
})
