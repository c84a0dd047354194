/** The deployment kit: its settings, its schema, and the versions that it installs. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, FileSystem } from "effect"
import { Deployment } from "kubernetes-models/apps/v1"
import { PodDisruptionBudget } from "kubernetes-models/policy/v1"
import { Service } from "kubernetes-models/v1"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Path from "node:path"
import * as Yaml from "yaml"
import * as Config from "../../src/Config.ts"
import { emptyFolder } from "../support/folder.ts"
import * as Image from "../support/image.ts"
import * as Programs from "../support/programs.ts"

const deploy = (name: string) => readFileSync(Path.join("src/operations/deploy", name), "utf8")

const documents = Yaml.parseAllDocuments(deploy("kubernetes.yaml"))

const manifest = documents.map((document) => document.toJS() as Resource)

interface Resource {
  readonly kind: keyof typeof kinds
  readonly spec: unknown
}

/** The kinds of the manifest, with the modules of their types. */
const kinds = {
  Deployment: { module: "apps/v1", parse: (document: Yaml.Document) => new Deployment(document.toJS()) },
  Service: { module: "v1", parse: (document: Yaml.Document) => new Service(document.toJS()) },
  PodDisruptionBudget: {
    module: "policy/v1",
    parse: (document: Yaml.Document) => new PodDisruptionBudget(document.toJS())
  }
} as const

const container = Effect.sync(() => {
  const { spec } = manifest.find(({ kind }) => kind === "Deployment") as {
    readonly spec: { readonly template: { readonly spec: PodSpec } }
  }
  return { pod: spec.template.spec, env: spec.template.spec.containers[0]!.env }
})

interface PodSpec {
  readonly terminationGracePeriodSeconds: number
  readonly containers: ReadonlyArray<{ readonly env: ReadonlyArray<{ readonly name: string; readonly value: string }> }>
}

/** The settings that a systemd unit has. */
const unitSettings = Object.fromEntries(
  [...deploy("metadata-batcher.service").matchAll(/^Environment=(.*)$/gm)].flatMap(([, line]) =>
    line!.split(" ").map((pair) => pair.split("=") as [string, string])
  )
)

/** Variables that are those of Node. */
const ofNode = ["NODE_ENV"]

const unknown = (names: Iterable<string>) => {
  const settings = new Set([...Object.values(Config.variables).map(({ name }) => name), ...ofNode])
  return [...names].filter((name) => !settings.has(name))
}

const read = (env: Readonly<Record<string, string>>) =>
  Config.read().pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(env)))

describe("the deployment kit", () => {
  it.effect("names only settings that exist, with values that they take [RO-04]", () =>
    Effect.gen(function* () {
      const { env } = yield* container
      const ofPod = Object.fromEntries(env.map(({ name, value }) => [name, value]))
      const commented = [...deploy("kubernetes.yaml").matchAll(/\b[A-Z]+_[A-Z_]+\b/g)].map(([name]) => name)

      for (const settings of [Image.parse(deploy("Dockerfile")).env, unitSettings, ofPod]) {
        assert.isAbove(Object.keys(settings).length, 0)
        assert.deepStrictEqual(unknown(Object.keys(settings)), [])
        yield* read(settings)
      }
      assert.deepStrictEqual(unknown(commented), [])
    })
  )

  it.effect("gives a pod the time that its settings may take [RO-04]", () =>
    Effect.gen(function* () {
      const { env, pod } = yield* container
      const settings = yield* read(Object.fromEntries(env.map(({ name, value }) => [name, value])))
      const { drainDelay = Duration.zero, drainTime = Duration.zero, shutdownTimeout } = settings
      const most = [drainDelay, drainTime, shutdownTimeout].reduce((sum, each) => sum + Duration.toSeconds(each), 0)

      assert.isAtLeast(pod.terminationGracePeriodSeconds, most + 5)
    })
  )

  it("has a manifest of the kinds of Kubernetes, with every field of the right type [RO-05]", () => {
    assert.sameMembers(
      manifest.map(({ kind }) => kind),
      Object.keys(kinds)
    )
    for (const [index, { kind }] of manifest.entries()) kinds[kind].parse(documents[index]!).validate()
  })

  it.effect("has a manifest without a field that Kubernetes does not know [RO-05]", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      const file = Path.join(folder, "manifest.ts")
      yield* fs.symlink(Path.resolve("node_modules"), Path.join(folder, "node_modules"))
      const typed = manifest.map(
        (resource, index) =>
          `export const resource${index}: import("kubernetes-models/${kinds[resource.kind].module}").I${resource.kind} = ${JSON.stringify(resource)}`
      )
      yield* fs.writeFileString(file, typed.join("\n"))
      const flags = [
        "--ignoreConfig",
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--module",
        "nodenext",
        "--target",
        "esnext",
        "--types",
        ""
      ]

      const { status, stdout } = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", ...flags, file], {
        encoding: "utf8"
      })

      assert.strictEqual(stdout, "")
      assert.strictEqual(status, 0)
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it("installs the versions of packages that the tests have [RO-06]", () => {
    const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
      readonly devDependencies: Readonly<Record<string, string>>
    }
    const installed = Image.parse(deploy("Dockerfile")).commands.flatMap((command) => [
      ...command.matchAll(/\s((?:@[\w-]+\/)?[\w-]+)@(\d[\w.-]*)/g)
    ])

    assert.isAbove(installed.length, 3)
    for (const [, name, version] of installed) assert.strictEqual(devDependencies[name!], version, name)
  })
})

Programs.describeWith("systemd-analyze", () => {
  it.effect("has a unit that systemd takes [RO-07]", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const file = Path.join(yield* emptyFolder, "metadata-batcher.service")
      // the check looks for the program
      const unit = deploy("metadata-batcher.service").replace("/usr/bin/node", process.execPath)
      yield* fs.writeFileString(file, unit)

      const flags = ["verify", "--man=no", "--recursive-errors=no"]
      const { status, stderr } = spawnSync(Programs.pathOf("systemd-analyze")!, [...flags, file], { encoding: "utf8" })

      assert.strictEqual(stderr, "")
      assert.strictEqual(status, 0)
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )
})
