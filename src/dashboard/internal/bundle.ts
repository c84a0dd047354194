/**
 * Bundles the sources of the page for browsers. As a program it writes the bundle into a folder, for the package.
 *
 * The script begins with the licences of the packages that it holds, as they demand.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

export interface Bundle {
  readonly html: string
  readonly script: Uint8Array
  readonly style: Uint8Array
}

/** The names of the files in the page. */
export const names = { html: "page.html", script: "page.js", style: "page.css" } as const

const sources = fileURLToPath(new URL("../page/", import.meta.url))

export const bundle = async (): Promise<Bundle> => {
  const { buildSync } = await import("esbuild")
  const { metafile, outputFiles } = buildSync({
    entryPoints: [Path.join(sources, "main.tsx")],
    outfile: names.script,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: ["chrome111", "firefox113", "safari16.4"],
    jsx: "automatic",
    jsxImportSource: "preact",
    // each package's licence is written whole, below
    legalComments: "none",
    metafile: true,
    define: { "process.env.NODE_ENV": '"production"' }
  })
  const output = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))!.contents
  const notices = new TextEncoder().encode(licences(Object.keys(metafile.inputs)))
  return {
    html: readFileSync(Path.join(sources, names.html), "utf8"),
    script: Buffer.concat([notices, output(".js")]),
    style: Buffer.concat([notices, output(".css")])
  }
}

/** Returns the licences of the packages of these files, as a comment for each. */
const licences = (files: ReadonlyArray<string>): string => {
  const folders = files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [])
  return [...new Set(folders)]
    .map((folder) => {
      const { name } = JSON.parse(readFileSync(Path.join(folder, "package.json"), "utf8"))
      return `/*! ${name}\n${readFileSync(Path.join(folder, "LICENSE"), "utf8").replaceAll("*/", "* /").trim()}\n*/\n`
    })
    .join("")
}

if (import.meta.main) {
  const folder = process.argv[2]!
  const { html, script, style } = await bundle()
  mkdirSync(folder, { recursive: true })
  writeFileSync(Path.join(folder, names.html), html)
  writeFileSync(Path.join(folder, names.script), script)
  writeFileSync(Path.join(folder, names.style), style)
}
