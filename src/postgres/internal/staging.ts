/**
 * Creates folders atomically: each is created under a temporary name and put in place by one rename.
 */
import { Effect, FileSystem, Result } from "effect"
import * as Path from "node:path"

// the name of a folder in preparation contains the id of the process that prepares it
const prefix = "new-"

/**
 * Creates `target` if it is missing. `make` gets an empty folder beside `target` and returns the path in it that
 * becomes the target. When another process created `target` first, its folder stays: it was created the same way.
 */
export const build = Effect.fnUntraced(function* <E, R>(
  target: string,
  make: (aside: string) => Effect.Effect<string, E, R>
) {
  const fs = yield* FileSystem.FileSystem
  if (yield* fs.exists(target)) return
  const made = yield* make(
    yield* fs.makeTempDirectoryScoped({ directory: Path.dirname(target), prefix: `${prefix}${process.pid}-` })
  )
  yield* Effect.catch(fs.rename(made, target), (error) =>
    Effect.flatMap(fs.exists(target), (exists) => (exists ? Effect.void : Effect.fail(error)))
  )
}, Effect.scoped)

/**
 * Removes from `folder` the unfinished folders of dead processes, and all entries whose names begin with `family`
 * except `current`. Only the holder of the folder may call this.
 */
export const tidy = Effect.fnUntraced(
  function* (folder: string, family: string, current: string) {
    const fs = yield* FileSystem.FileSystem
    const names = yield* fs.readDirectory(folder)
    const left = names.filter((name) =>
      name.startsWith(prefix)
        ? isOver(Number.parseInt(name.slice(prefix.length)))
        : name.startsWith(family) && name !== current
    )
    yield* Effect.forEach(left, (name) => fs.remove(Path.join(folder, name), { recursive: true }), { discard: true })
  },
  Effect.ignore({ log: "Warn" })
)

/** Whether the process prepares nothing any more: it has ended, or its id now belongs to this process. */
const isOver = (pid: number) => pid === process.pid || Result.isFailure(Result.try(() => process.kill(pid, 0)))
