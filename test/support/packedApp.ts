/**
 * An empty application that has installed what `npm pack` makes of this package, with only `effect` beside it.
 */
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { compileCache } from "./folder.ts"

export interface PackedApp {
  readonly folder: string
  readonly write: (name: string, text: string) => void
  /** The path of a file of the installed package. */
  readonly path: (name: string) => string
  /** Runs a file of the application and returns what it printed. */
  readonly node: (...args: ReadonlyArray<string>) => string
  /** Links a package of this repository into the application. */
  readonly link: (name: string) => void
  readonly remove: () => void
}

export const make = (): PackedApp => {
  const folder = mkdtempSync(Path.join(tmpdir(), "metadata-batcher-app-"))
  const modules = Path.join(folder, "node_modules")
  const run = (command: string, args: ReadonlyArray<string>, cwd: string) => {
    const { status, stderr, stdout } = spawnSync(command, args, {
      cwd,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...compileCache() }
    })
    if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}:\n${stdout}${stderr}`)
    return stdout
  }
  const link = (name: string) => {
    const target = Path.join(modules, name)
    mkdirSync(Path.dirname(target), { recursive: true })
    rmSync(target, { force: true })
    symlinkSync(Path.resolve("node_modules", name), target)
  }

  const tarball = run("npm", ["pack", "--silent", "--pack-destination", folder], ".").trim().split("\n").at(-1)!
  run("tar", ["-xzf", tarball], folder)
  mkdirSync(modules)
  cpSync(Path.join(folder, "package"), Path.join(modules, "metadata-batcher"), { recursive: true })
  link("effect")
  writeFileSync(Path.join(folder, "package.json"), JSON.stringify({ type: "module", private: true }))

  return {
    folder,
    path: (name) => Path.join(modules, "metadata-batcher", name),
    write: (name, text) => {
      mkdirSync(Path.dirname(Path.join(folder, name)), { recursive: true })
      writeFileSync(Path.join(folder, name), text)
    },
    node: (...args) => run(process.execPath, args, folder),
    link,
    remove: () => rmSync(folder, { recursive: true, force: true })
  }
}
