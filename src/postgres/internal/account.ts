/**
 * Chooses the account of the server: Postgres does not run as root, so root runs it as another account.
 */
import { Effect, FileSystem, Option } from "effect"
import * as Path from "node:path"
import { EmbeddedPostgresError } from "./embeddedPostgresError.ts"

/** An account that runs programs. Wherever it may be absent, `undefined` means the caller's account. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/**
 * Returns `undefined` for every caller but root, because the programs then run as the caller. For root it returns the
 * owner of the data if there is data, else `metadata-batcher` if that account exists, else `nobody`. It never chooses
 * `postgres`, whose processes could read and end the system's own cluster.
 */
export const unprivileged = Effect.fnUntraced(function* (data: string) {
  if (process.geteuid?.() !== 0) return undefined
  const fs = yield* FileSystem.FileSystem
  const owner = yield* Effect.option(fs.stat(data))
  if (Option.isSome(owner)) {
    const [uid, gid] = [Option.getOrThrow(owner.value.uid), Option.getOrThrow(owner.value.gid)]
    return { name: `user ${uid}`, uid, gid } satisfies Account
  }
  const passwd = yield* fs.readFileString("/etc/passwd")
  const accounts = passwd.split("\n").map((line) => line.split(":"))
  const find = (wanted: string) => accounts.find(([name]) => name === wanted)
  const [name, , uid, gid] = find("metadata-batcher") ?? find("nobody") ?? []
  if (name === undefined) {
    return yield* new EmbeddedPostgresError({
      reason: "unsupported",
      detail:
        "Postgres does not run as root, and there is no account named metadata-batcher or nobody to run it as: set DATABASE_URL"
    })
  }
  return { name, uid: Number(uid), gid: Number(gid) } satisfies Account
})

/** Whether `account` can enter every existing folder on the path to `path`. */
export const reaches: (account: Account, path: string) => Effect.Effect<boolean, never, FileSystem.FileSystem> =
  Effect.fnUntraced(function* (account, path) {
    const fs = yield* FileSystem.FileSystem
    const passes = (folder: string) =>
      Effect.map(fs.stat(folder), ({ gid, mode, uid }) => {
        const mine = Option.contains(uid, account.uid) ? 0o100 : Option.contains(gid, account.gid) ? 0o010 : 0o001
        return (mode & mine) !== 0
      })
    const real = yield* Effect.option(fs.realPath(path))
    if (Option.isNone(real)) return yield* reaches(account, Path.dirname(path))
    return yield* Effect.forEach(ancestors(real.value), passes).pipe(
      Effect.map((all) => all.every(Boolean)),
      Effect.orElseSucceed(() => false)
    )
  })

const ancestors = (path: string): ReadonlyArray<string> => {
  const parent = Path.dirname(path)
  return parent === path ? [path] : [path, ...ancestors(parent)]
}
