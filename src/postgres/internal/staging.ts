/**
 * Folders that are whole or not there: made aside, then put into place by one rename.
 */
import { Effect, FileSystem, Result } from "effect"
import * as Path from "node:path"

// a folder in preparation bears the id of the process that prepares it
const prefix = "new-"

/**
 * Makes `target` if it is not there. `make` gets an empty folder beside it and answers what in there becomes the target.
 * When somebody else was faster, theirs stands: it was made the same way.
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
 * Removes from `folder` what dead processes left aside, and the relatives of `current`: entries whose names begin with
 * `family`. Only whoever holds the folder may do so.
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

/** Whether the process makes nothing any more: it is gone, or its id is this process's own by now. */
const isOver = (pid: number) => pid === process.pid || Result.isFailure(Result.try(() => process.kill(pid, 0)))
