/**
 * Makes of the page's sources what browsers get. As a program it puts that into a folder, for the package.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

export interface Bundle {
  readonly html: string
  readonly script: Uint8Array
  readonly style: Uint8Array
}

/** The names of the files, as the page refers to them. */
export const names = { html: "page.html", script: "page.js", style: "page.css" } as const

const sources = fileURLToPath(new URL("../page/", import.meta.url))

export const bundle = async (): Promise<Bundle> => {
  const { buildSync } = await import("esbuild")
  const { outputFiles } = buildSync({
    entryPoints: [Path.join(sources, "main.tsx")],
    outfile: names.script,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: ["chrome111", "firefox113", "safari16.4"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    define: { "process.env.NODE_ENV": '"production"' }
  })
  const output = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))!.contents
  return { html: readFileSync(Path.join(sources, names.html), "utf8"), script: output(".js"), style: output(".css") }
}

if (import.meta.main) {
  const folder = process.argv[2]!
  const { html, script, style } = await bundle()
  mkdirSync(folder, { recursive: true })
  writeFileSync(Path.join(folder, names.html), html)
  writeFileSync(Path.join(folder, names.script), script)
  writeFileSync(Path.join(folder, names.style), style)
}
