/** The documents of the repository against the files that they speak of. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { existsSync, globSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import * as Config from "../src/Config.ts"
import * as Blocks from "./guide/blocks.ts"
import * as Documents from "./support/documents.ts"
import * as PublicNames from "./support/publicNames.ts"

const documents = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "*.md"], { encoding: "utf8" })
  .trim()
  .split("\n")
  .map((path) => ({ path, text: readFileSync(path, "utf8") }))

const map = readFileSync("src/README.md", "utf8")

describe("the documents", () => {
  it("link to files that exist", () => {
    const links = documents.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)|<img src="([^"]+)"/g)]
        .map(([, link, image]) => (link ?? image)!)
        .filter((link) => !/^[a-z]+:/.test(link))
        .map((link) => ({ path, link, target: Path.join(Path.dirname(path), link) }))
    )

    assert.isAbove(links.length, 50)
    assert.deepStrictEqual(
      links.filter(({ target }) => !existsSync(target)),
      []
    )
  })

  it("name scripts of npm that exist", () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8"))
    const named = documents.flatMap(({ text }) =>
      [...text.matchAll(/npm run ([a-z0-9:]+)|npm (start|test)\b/g)].map(([, script, short]) => (script ?? short)!)
    )

    assert.deepStrictEqual(
      named.filter((script) => !(script in scripts)),
      []
    )
  })
})

describe("the public names", () => {
  it("have a doc each, their members too [LI-01]", () => {
    const names = PublicNames.read()

    assert.isAbove(names.length, 400)
    assert.deepStrictEqual(
      names.filter(({ doc }) => doc === "").map(({ name }) => name),
      []
    )
  })
})

describe("the guide", () => {
  const blocks = Blocks.read()

  it("has no block of commands without a test that runs it, or what checks it instead [LF-41]", () => {
    assert.sameMembers(
      blocks.map(({ name }) => name),
      [...Blocks.run, ...Object.keys(Blocks.elsewhere)]
    )
    for (const command of Object.keys(Blocks.leftOut)) {
      assert.isTrue(
        blocks.some(({ text }) => text.includes(command)),
        command
      )
    }
  })

  it("installs the versions of packages that the tests have [LF-41]", () => {
    const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8"))
    const named = [
      ...readFileSync("src/operations/README.md", "utf8").matchAll(/\s((?:@[\w-]+\/)?[\w-]+)@(\d[\w.-]*\w)/g)
    ]

    assert.isAbove(named.length, 9)
    for (const [, name, version] of named) assert.strictEqual(devDependencies[name!], version, name)
  })
})

describe("the README", () => {
  const readme = readFileSync("README.md", "utf8")

  it("has at most 230 lines", () => {
    assert.isAtMost(readme.split("\n").length, 231)
  })

  it("names ten settings with their defaults", () => {
    const shown = Documents.settings.filter((setting) => readme.includes(Documents.row(setting)))

    assert.lengthOf(shown, 10)
    assert.lengthOf(readme.match(/^\| `[A-Z_]+` \|/gm) ?? [], 10)
  })

  it("says which options the service has", () => {
    const { maxBatchSize, maxPending, maxPendingPerAgent } = Config.variables
    const grouped = ({ default: value }: { readonly default: string | undefined }) =>
      Number(value).toLocaleString("fr").replaceAll(/\s/g, " ")
    for (const { options, library, service } of [
      {
        options: "`maxBatchSize`, `maxBacklogBatchSize`",
        library: "500, 1 batch",
        service: `${maxBatchSize.default}, 10 batches`
      },
      {
        options: "`maxPending`, `maxPendingPerSource`",
        library: "1 batch, none",
        service: `${grouped(maxPending)}, ${grouped(maxPendingPerAgent)}`
      }
    ]) {
      assert.include(readme, `| ${options} | ${library} | ${service} |`)
    }
    for (const { option, variable } of [
      { option: "interval", variable: Config.variables.flushInterval },
      { option: "shutdownTimeout", variable: Config.variables.shutdownTimeout }
    ]) {
      assert.include(readme, `| \`${option}\` | ${variable.default} | ${variable.default} |`)
    }
  })
})

describe("src/README.md", () => {
  it("lists every room, and only files that exist in its diagrams", () => {
    const rooms = globSync("src/*/").map((path) => Path.basename(path))
    const drawn = [...map.matchAll(/ ((?:\w+\/)+\w+\.ts)/g)].map(([, path]) => path!)

    for (const room of rooms) assert.include(map, `| [\`${room}\`](${room}) |`)
    assert.isAbove(drawn.length, 8)
    assert.deepStrictEqual(
      drawn.filter((path) => !existsSync(Path.join("src", path))),
      []
    )
  })

  it("lists every setting with its default, as `npm run docs` writes it", () => {
    for (const setting of Documents.settings) assert.include(map, Documents.row(setting))
  })
})
