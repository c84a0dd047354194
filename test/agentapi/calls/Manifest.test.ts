/** `GetManifest`, called as an agent calls it. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { AgentSession } from "../../../src/agentapi/session/AgentSession.ts"
import * as Manifest from "../../../src/agentapi/calls/Manifest.ts"
import { type DeclaredApp, ManifestStore } from "../../../src/agentapi/ports/ManifestStore.ts"
import { Relays, SiteConfigs } from "../../../src/agentapi/ports/SiteConfigs.ts"
import { AppId, LogSourceId, ScriptId } from "../../../src/domain/Ids.ts"
import { anyKey, session } from "../../support/agentApi.ts"
import { workspace } from "../../support/identity.ts"
import { collectLogs, type LogRecord } from "../../support/logs.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { StoreError } from "../../../src/domain/StoreError.ts"

const id = (number: number) => `00000000-0000-4000-a000-00000000000${number}`

const app: DeclaredApp = {
  id: AppId.make(id(1)),
  url: "http://localhost:13337",
  external: false,
  slug: "code",
  display_name: "VS Code",
  command: "",
  icon: "/icon/code.svg",
  subdomain: true,
  sharing_level: "organization",
  healthcheck: { url: "http://localhost:13337/healthz", interval: Duration.seconds(5), threshold: 6 },
  health: "initializing",
  hidden: false
}

/** The declaration of an agent, unless the test changes it. */
const declared: ManifestStore["Service"] = {
  declareKeys: () => Effect.die("no keys are declared here"),
  declaredKeys: () => Effect.succeed(anyKey),
  agent: () => Effect.succeed({ environment_variables: { EDITOR: "vi" }, directory: "~/code", motd_path: "/etc/motd" }),
  apps: () => Effect.succeed([app]),
  scripts: () =>
    Effect.succeed([
      {
        id: ScriptId.make(id(2)),
        log_source_id: LogSourceId.make(id(3)),
        log_path: "start.log",
        display_name: "Start",
        script: "make",
        cron: "",
        run_on_start: true,
        run_on_stop: false,
        start_blocks_login: true,
        timeout: Duration.minutes(5)
      }
    ]),
  metadata: () =>
    Effect.succeed([
      {
        key: "cpu",
        display_name: "CPU",
        script: "echo cpu",
        interval: Duration.seconds(10),
        timeout: Duration.millis(1_500)
      },
      { key: "once", display_name: "Once", script: "echo", interval: Duration.zero, timeout: Duration.seconds(1) }
    ]),
  devcontainers: () => Effect.succeed([{ id: id(4), name: "web", workspace_folder: "/src", config_path: "" }]),
  secrets: () =>
    Effect.succeed([
      {
        env_name: "NPM_TOKEN",
        file_path: "~/.npmrc",
        value: Redacted.make(new TextEncoder().encode("opensesame"), { label: "secret" })
      }
    ])
}

interface World {
  readonly store?: Partial<ManifestStore["Service"]>
  readonly derpMap?: SiteConfigs["Service"]["derpMap"]
  readonly session?: Partial<AgentSession["Service"]>
  readonly deployment?: Partial<(typeof Manifest.Deployment)["Service"]>
}

/** The manifest of an agent, as it goes to the agent. */
const manifest = ({ deployment, derpMap, session: overrides, store }: World = {}, logs: Array<LogRecord> = []) =>
  Effect.gen(function* () {
    const { GetManifest } = yield* Manifest.make
    return yield* Effect.flatMap(GetManifest(), Schema.encodeEffect(Manifest.Manifest))
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        Layer.succeed(ManifestStore, { ...declared, ...store }),
        Layer.mock(SiteConfigs)({ derpMap: derpMap ?? Effect.succeed({ regions: { 1: "here" } }) }),
        deployment === undefined
          ? Layer.empty
          : Layer.succeed(Manifest.Deployment, {
              externalAuthProviders: [],
              disableDirectConnections: false,
              derpForceWebsockets: false,
              ...deployment
            })
      )
    ),
    Effect.provideService(AgentSession, session(agent(7), overrides)),
    collectLogs(logs)
  )

const failing = (operation: string) =>
  Effect.fail(new StoreError({ operation, reason: "unavailable", cause: new Error("as the test wants it") }))

describe("GetManifest", () => {
  it.effect("returns everything that is known of an agent, in the words of the protocol [MF-03]", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* manifest(), {
        agent_id: agent(7),
        agent_name: "main",
        owner_username: "ada",
        workspace_id: workspace.id,
        workspace_name: "dev",
        git_auth_configs: 0,
        environment_variables: { EDITOR: "vi" },
        directory: "~/code",
        motd_path: "/etc/motd",
        vs_code_port_proxy_uri: "",
        disable_direct_connections: false,
        derp_force_websockets: false,
        derp_map: { regions: { 1: "here" } },
        scripts: [
          {
            id: id(2),
            log_source_id: id(3),
            log_path: "start.log",
            display_name: "Start",
            script: "make",
            cron: "",
            run_on_start: true,
            run_on_stop: false,
            start_blocks_login: true,
            timeout: 300
          }
        ],
        apps: [
          {
            ...app,
            subdomain_name: "code--main--dev--ada",
            sharing_level: "ORGANIZATION",
            health: "INITIALIZING",
            healthcheck: { url: "http://localhost:13337/healthz", interval: 5, threshold: 6 }
          }
        ],
        metadata: [
          { key: "cpu", display_name: "CPU", script: "echo cpu", interval: 10, timeout: 1.5 },
          { key: "once", display_name: "Once", script: "echo", interval: 0, timeout: 1 }
        ],
        devcontainers: [{ id: id(4), name: "web", workspace_folder: "/src", config_path: "" }],
        secrets: [{ env_name: "NPM_TOKEN", file_path: "~/.npmrc", value: btoa("opensesame") }]
      })
    })
  )

  it.effect("names the parent of a sub-agent, and gives an app a host only where it has one", () =>
    Effect.gen(function* () {
      const identity = { ...session(agent(7)).identity, parentId: agent(8) }

      const { apps, parent_id } = yield* manifest({
        session: { identity },
        store: { apps: () => Effect.succeed([{ ...app, subdomain: false }]) }
      })

      assert.strictEqual(parent_id, agent(8))
      assert.strictEqual(apps[0]!.subdomain_name, "")
    })
  )

  it.effect("fails when the agent cannot be read, names it, and logs why [MF-01, AP-07]", () =>
    Effect.gen(function* () {
      const logs: Array<LogRecord> = []

      const error = yield* Effect.flip(manifest({ store: { agent: () => failing("read an agent") } }, logs))

      assert.deepInclude(error, { _tag: "Unavailable", message: `cannot read agent ${agent(7)} now` })
      assert.lengthOf(logs, 1)
      assert.strictEqual(logs[0]!.level, "Error")
      assert.include(logs[0]!.message, `"operation":"read an agent"`)
    })
  )

  it.effect("reads all parts at the same time, and fails when any of them cannot be read [MF-01]", () =>
    Effect.gen(function* () {
      const parts: ReadonlyArray<(effect: ReturnType<typeof failing>) => World> = [
        (effect) => ({ session: { workspace: effect } }),
        (effect) => ({ store: { apps: () => effect } }),
        (effect) => ({ store: { scripts: () => effect } }),
        (effect) => ({ store: { metadata: () => effect } }),
        (effect) => ({ store: { devcontainers: () => effect } }),
        (effect) => ({ store: { secrets: () => effect } }),
        (effect) => ({ derpMap: effect })
      ]
      for (const [index, part] of parts.entries()) {
        const logs: Array<LogRecord> = []
        const error = yield* Effect.flip(manifest(part(failing(`read part ${index}`)), logs))
        assert.deepInclude(error, { _tag: "Unavailable", message: `cannot read part ${index} now` })
        assert.deepStrictEqual(
          logs.map(({ level, message }) => `${level} ${message.split(" {")[0]}`),
          [`Error cannot read part ${index}`]
        )
      }

      const gate = yield* Deferred.make<void>()
      let begun = 0
      const gated = <A, E>(part: Effect.Effect<A, E>) =>
        Effect.andThen(
          Effect.andThen(
            Effect.sync(() => begun++),
            Deferred.await(gate)
          ),
          part
        )
      const fiber = yield* Effect.forkChild(
        manifest({
          session: { workspace: gated(Effect.succeed(workspace)) },
          store: {
            agent: (id) => gated(declared.agent(id)),
            apps: (id) => gated(declared.apps(id)),
            scripts: (id) => gated(declared.scripts(id)),
            metadata: (id) => gated(declared.metadata(id)),
            devcontainers: (id) => gated(declared.devcontainers(id)),
            secrets: (id) => gated(declared.secrets(id))
          },
          derpMap: gated(Effect.succeed({}))
        })
      )
      yield* TestClock.adjust(0)
      // and the agent itself
      assert.strictEqual(begun, parts.length + 1)
      yield* Deferred.succeed(gate, undefined)
      assert.deepInclude(yield* Fiber.join(fiber), { agent_id: agent(7) })
    })
  )

  it.effect("has an empty list where the agent has no apps [MF-02]", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* manifest({ store: { apps: () => Effect.succeed([]) } })).apps, [])
    })
  )

  it.effect("tells editors nothing without a host for apps, and where the ports are with one [MF-04]", () =>
    Effect.gen(function* () {
      const uri = (wildcardAccessUrl: string | undefined) =>
        Effect.map(manifest({ deployment: { wildcardAccessUrl } }), (manifest) => manifest.vs_code_port_proxy_uri)

      assert.strictEqual(yield* uri(undefined), "")
      assert.strictEqual(
        yield* uri("https://*.apps.example.com:8443"),
        "https://{{port}}--main--dev--ada.apps.example.com:8443"
      )
    })
  )

  it.effect("counts the providers that serve git, and no others [MF-05]", () =>
    Effect.gen(function* () {
      const count = (...externalAuthProviders: ReadonlyArray<string>) =>
        Effect.map(manifest({ deployment: { externalAuthProviders } }), (manifest) => manifest.git_auth_configs)

      assert.strictEqual(yield* count(), 0)
      assert.strictEqual(yield* count("jira", "slack", "jfrog"), 0)
      assert.strictEqual(yield* count("github", "github", "gitlab", "slack"), 3)
      assert.strictEqual(
        yield* count("azure-devops", "azure-devops-entra", "bitbucket-cloud", "bitbucket-server", "gitea"),
        5
      )
    })
  )

  it.effect("has the relays of the network, and without a network those of the administrators [TU-23]", () =>
    Effect.gen(function* () {
      const ofNetwork = Effect.succeed({ regions: { 2: "there" } })

      assert.deepStrictEqual((yield* manifest()).derp_map, { regions: { 1: "here" } })
      assert.deepStrictEqual((yield* Effect.provideService(manifest(), Relays, ofNetwork)).derp_map, {
        regions: { 2: "there" }
      })
    })
  )

  it.effect("hands on how agents may be connected", () =>
    Effect.gen(function* () {
      assert.deepInclude(
        yield* manifest({ deployment: { disableDirectConnections: true, derpForceWebsockets: true } }),
        { disable_direct_connections: true, derp_force_websockets: true }
      )
    })
  )

  it.effect("names the app whose sharing level or health the protocol has no word for [MF-06]", () =>
    Effect.gen(function* () {
      for (const [setting, bad, message] of [
        ["sharing level", { sharing_level: "friends" }, "the app “code” has an unknown sharing level: “friends”"],
        ["health", { health: "HEALTHY" }, "the app “code” has an unknown health: “HEALTHY”"]
      ] as const) {
        const logs: Array<LogRecord> = []
        const apps = () =>
          Effect.succeed([
            { ...app, slug: "fine" },
            { ...app, ...bad }
          ])

        const error = yield* Effect.flip(manifest({ store: { apps } }, logs))

        assert.deepInclude(error, { _tag: "UnknownAppSetting", app: "code", setting, message })
        assert.deepInclude(logs[0], { level: "Error", message })
      }
    })
  )
})
