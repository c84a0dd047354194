/** The packed package in Bun and Deno, which are fetched into a folder of their own and leave no trace. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import * as PackedApp from "../support/packedApp.ts"
import { expected } from "./expected.ts"

const runtimes = [
  { name: "bun", version: "1.4.5", args: [] },
  { name: "deno", version: "2.9.6", args: ["run", "--allow-all"] }
]

/** The output of examples in every runtime. */
const outputs = {
  "audit.ts": "written: sign in, delete, sign in\n",
  "counter.ts": "/ 2\n/docs 1\n",
  "tenants.ts": "blue: 1 agent changed\nblue: 1 written\ngreen: 0 written\n"
}

const folder = mkdtempSync(Path.join(tmpdir(), "metadata-batcher-runtimes-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const fetched = spawnSync(
  "npm",
  [
    "install",
    "--no-save",
    "--no-audit",
    "--no-fund",
    "--prefix",
    folder,
    ...runtimes.map(({ name, version }) => `${name}@${version}`)
  ],
  { stdio: "ignore" }
)
const isMissing = fetched.status !== 0

let app: PackedApp.PackedApp
beforeAll(() => {
  if (isMissing) return
  app = PackedApp.make()
  app.write("program.ts", readFileSync("test/runtimes/program.ts", "utf8"))
  for (const name of Object.keys(outputs)) app.write(name, readFileSync(`test/examples/${name}`, "utf8"))
})
afterAll(() => app?.remove())

for (const { args, name, version } of runtimes) {
  describe.skipIf(isMissing)(`${name} ${version}${isMissing ? " (skipped: needs the registry)" : ""}`, () => {
    const run = (file: string) => {
      const command = Path.join(folder, "node_modules/.bin", name)
      const { status, stderr, stdout } = spawnSync(command, [...args, file], { cwd: app.folder, encoding: "utf8" })
      assert.strictEqual(status, 0, stderr)
      return stdout
    }

    it("has the result of every other runtime", () => {
      assert.include(run("program.ts"), expected)
    })

    for (const [example, output] of Object.entries(outputs)) {
      it(`runs ${example}`, () => {
        rmSync(Path.join(app.folder, "audit"), { recursive: true, force: true })
        assert.include(run(example), output)
      })
    }
  })
}
