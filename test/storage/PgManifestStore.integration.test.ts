import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import type { AgentId } from "../../src/domain/Ids.ts"
import type { StoreError } from "../../src/domain/StoreError.ts"
import { ManifestStore } from "../../src/agentapi/ports/ManifestStore.ts"
import * as PgManifestStore from "../../src/storage/PgManifestStore.ts"
import { lockedBefore } from "../support/locked.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { layer as layerStatements, Statements } from "../support/statements.ts"

const environment = PgManifestStore.layer.pipe(
  Layer.provideMerge(Postgres.layer),
  Layer.provideMerge(layerStatements),
  Layer.provideMerge(Reactivity.layer)
)

layer(environment, { excludeTestServices: true })("PgManifestStore", (it) => {
  it.effect("reads how an agent was declared", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* ManifestStore
      const [agent, other] = yield* Seed.agents(2, [])
      yield* sql`
        UPDATE workspace_agents
        SET directory = '~/code', motd_file = '/etc/motd', environment_variables = '{"EDITOR": "vi"}'
        WHERE id = ${agent}`

      assert.deepStrictEqual(yield* store.agent(agent), {
        environment_variables: { EDITOR: "vi" },
        directory: "~/code",
        motd_path: "/etc/motd"
      })
      assert.deepStrictEqual(yield* store.agent(other), { environment_variables: {}, directory: "", motd_path: "" })
    })
  )

  it.effect("reads the declared keys of many agents in one statement [FT-08]", () =>
    Effect.gen(function* () {
      const store = yield* ManifestStore
      const [one, other] = yield* Seed.agents(2, ["cpu", "disk"])
      const [bare] = yield* Seed.agents(1, [])

      const keys = yield* Effect.forEach([one, bare, other], store.declaredKeys, { concurrency: "unbounded" })

      assert.deepStrictEqual(keys, [new Set(["cpu", "disk"]), new Set(), new Set(["cpu", "disk"])])
    })
  )

  it.effect("reads the parts of a hundred manifests in two statements each, however many calls ask [FT-42]", () =>
    Effect.gen(function* () {
      const made = yield* Statements
      const store = yield* ManifestStore
      const sql = yield* SqlClient.SqlClient
      const agents = yield* Seed.agents(100, ["cpu"])
      const [broken] = agents
      yield* sql`UPDATE workspace_agents SET environment_variables = '{"EDITOR": 1}' WHERE id = ${broken}`
      made.length = 0

      const { agent, apps, devcontainers, metadata, scripts, secrets } = store
      const parts: ReadonlyArray<(id: AgentId) => Effect.Effect<unknown, StoreError>> = [
        agent,
        apps,
        devcontainers,
        metadata,
        scripts,
        secrets
      ]
      const failed = yield* Effect.forEach(
        [...agents, ...agents, ...agents],
        (id) => Effect.isFailure(Effect.forEach(parts, (part) => part(id), { concurrency: "unbounded" })),
        { concurrency: "unbounded" }
      )

      assert.isAtMost(made.length, 2 * parts.length)
      // the calls of the agent whose row cannot be read
      assert.strictEqual(failed.filter((failed) => failed).length, 3)
    })
  )

  it.effect("fails for an unknown agent, and for one with an invalid environment [MF-01]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* ManifestStore
      const [stranger] = Seed.newIds(1)
      const [agent] = yield* Seed.agents(1, [])
      yield* sql`UPDATE workspace_agents SET environment_variables = '{"EDITOR": 1}' WHERE id = ${agent}`

      for (const id of [stranger, agent]) {
        const error = yield* Effect.flip(store.agent(id))
        assert.deepInclude(error, { _tag: "StoreError", reason: "unavailable" })
        // the operation is a label of a metric, so it names no agent
        assert.strictEqual(error.message, "cannot read an agent")
      }
    })
  )

  it.effect("reads an agent's apps in their order, and none where there are none [MF-02]", () =>
    Effect.gen(function* () {
      const store = yield* ManifestStore
      const [agent, other] = yield* Seed.agents(2, [])
      // the order of slugs alone, or of insertion, would be another one
      yield* Seed.app(agent, "a-last", { display_order: 2 })
      yield* Seed.app(agent, "b")
      const a = yield* Seed.app(agent, "a", {
        url: "http://localhost:80",
        display_name: "A",
        command: "top",
        icon: "/icon/a.svg",
        external: true,
        subdomain: true,
        hidden: true,
        sharing_level: "friends",
        health: "healthy",
        healthcheck_url: "http://localhost:80/healthz",
        healthcheck_interval_seconds: 5,
        healthcheck_threshold: 6
      })

      const apps = yield* store.apps(agent)

      assert.deepStrictEqual(
        apps.map(({ slug }) => slug),
        ["a", "b", "a-last"]
      )
      assert.deepStrictEqual(apps[0], {
        id: a,
        slug: "a",
        url: "http://localhost:80",
        display_name: "A",
        command: "top",
        icon: "/icon/a.svg",
        external: true,
        subdomain: true,
        hidden: true,
        sharing_level: "friends",
        health: "healthy",
        healthcheck: { url: "http://localhost:80/healthz", interval: Duration.seconds(5), threshold: 6 }
      })
      assert.deepStrictEqual(yield* store.apps(other), [])
    })
  )

  it.effect("reads every declared key with its interval and timeout [MF-03]", () =>
    Effect.gen(function* () {
      const store = yield* ManifestStore
      const [agent] = yield* Seed.agents(1, ["ram", "cpu"])
      const times = { interval: Duration.seconds(10), timeout: Duration.millis(1_500) }

      assert.deepStrictEqual(yield* store.metadata(agent), [
        { key: "ram", display_name: "RAM", script: "echo ram", ...times },
        { key: "cpu", display_name: "CPU", script: "echo cpu", ...times }
      ])
    })
  )

  it.effect("declares as many keys as an agent may have, however many calls there are at once [HT-15]", () =>
    Effect.gen(function* () {
      const store = yield* ManifestStore
      const [agent, other] = yield* Seed.agents(2, [])
      const key = (key: string) => ({ key, displayName: key, interval: Duration.zero, timeout: Duration.zero })
      const declare = Effect.fnUntraced(function* (agentId: AgentId, keys: ReadonlyArray<string>) {
        const calls = Effect.forEach(keys, (name) => store.declareKeys(agentId, [key(name)], 3), {
          concurrency: "unbounded"
        })
        const outcomes: Array<boolean> = []
        // all begin before one of them ends
        yield* lockedBefore(
          "workspace_agents",
          agentId,
          [],
          Effect.tap(calls, (all) => Effect.sync(() => outcomes.push(...all)))
        )
        return outcomes
      })

      const different = yield* declare(agent, ["a", "b", "c", "d", "e", "f", "g", "h"])
      const same = yield* declare(other, ["a", "a", "a", "a", "a", "a"])

      assert.lengthOf(different.filter(Boolean), 3)
      assert.lengthOf(yield* store.metadata(agent), 3)
      assert.deepStrictEqual(same, [true, true, true, true, true, true])
    })
  )

  it.effect("reads the sub-agent of a devcontainer while it is a living one of the agent [MF-09]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* ManifestStore
      const [agent, other, child, deleted, foreign] = yield* Seed.agents(5, [])
      yield* sql`UPDATE workspace_agents SET parent_id = ${agent} WHERE id IN (${child}, ${deleted})`
      yield* sql`UPDATE workspace_agents SET parent_id = ${other} WHERE id = ${foreign}`
      yield* sql`UPDATE workspace_agents SET deleted = true WHERE id = ${deleted}`
      for (const [name, id] of Object.entries({ a: child, b: deleted, c: foreign, d: null })) {
        yield* sql`
          INSERT INTO workspace_agent_devcontainers (id, workspace_agent_id, name, workspace_folder, subagent_id)
          VALUES (gen_random_uuid(), ${agent}, ${name}, ${name}, ${id})`
      }
      const found = Effect.map(store.devcontainers(agent), (devcontainers) =>
        devcontainers
          .map(({ id: _, name, subagent_id }) => [name, subagent_id])
          .toSorted(([one], [other]) => String(one).localeCompare(String(other)))
      )
      const none = ["b", "c", "d"].map((name) => [name, undefined])

      assert.deepStrictEqual(yield* found, [["a", child], ...none])
      yield* sql`DELETE FROM workspace_agents WHERE id = ${child}`
      assert.deepStrictEqual(yield* found, [["a", undefined], ...none])
    })
  )

  it.effect("reads the secrets of the user who owns the agent now, and no other user's [MF-10]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* ManifestStore
      const [one, sibling] = yield* Seed.agents(2, [])
      const [other] = yield* Seed.agents(1, [])
      const ownerOf = (agentId: AgentId) => sql<{ id: string; workspace: string }>`
        SELECT workspace.owner_id AS id, workspace.id AS workspace
        FROM workspace_agents AS agent
        JOIN workspace_builds AS build ON build.id = agent.workspace_build_id
        JOIN workspaces AS workspace ON workspace.id = build.workspace_id
        WHERE agent.id = ${agentId}`
      const [owner] = yield* ownerOf(one)
      const [stranger] = yield* sql<{ id: string }>`
        INSERT INTO users (id, username) VALUES (gen_random_uuid(), ${one}) RETURNING id`
      const bytes = Uint8Array.of(0, 255, 10)
      yield* sql`
        INSERT INTO user_secrets (user_id, name, env_name, file_path, value)
        VALUES
          (${owner!.id}, 'b', 'B', '', ${bytes}), (${owner!.id}, 'a', '', '~/.a', ${bytes}),
          (${stranger!.id}, 'c', 'C', '', ${bytes})`
      const secrets = (agentId: AgentId) =>
        Effect.map(store.secrets(agentId), (secrets) =>
          secrets.map(({ env_name, file_path, value }) => [env_name, file_path, ...Redacted.value(value)])
        )
      const ofOwner = [
        ["", "~/.a", ...bytes],
        ["B", "", ...bytes]
      ]

      assert.deepStrictEqual(yield* Effect.all([secrets(one), secrets(sibling)], { concurrency: 2 }), [
        ofOwner,
        ofOwner
      ])
      yield* sql`UPDATE workspaces SET owner_id = ${stranger!.id} WHERE id = ${owner!.workspace}`
      assert.deepStrictEqual(yield* secrets(one), [["C", "", ...bytes]])
      const [ofOther] = yield* ownerOf(other)
      assert.notStrictEqual(ofOther!.workspace, owner!.workspace)
      assert.notInclude(JSON.stringify(yield* secrets(other)), '"C"')
      assert.notInclude(String((yield* store.secrets(one))[0]!.value), "255")
    })
  )

  it.effect("reads scripts and devcontainers in the order of their creation", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* ManifestStore
      const [agent] = yield* Seed.agents(1, [])
      for (const [name, day] of [
        ["b", 3],
        ["c", 1],
        ["a", 2]
      ] as const) {
        const created = new Date(Date.UTC(2026, 0, day))
        yield* sql`
          INSERT INTO workspace_agent_scripts
            (id, workspace_agent_id, log_source_id, log_path, display_name, script, cron, run_on_start, created_at)
          VALUES (gen_random_uuid(), ${agent}, gen_random_uuid(), '', ${name}, 'make', '', true, ${created})`
        yield* sql`
          INSERT INTO workspace_agent_devcontainers
            (id, workspace_agent_id, name, workspace_folder, config_path, created_at)
          VALUES (gen_random_uuid(), ${agent}, ${name}, ${`/${name}`}, '', ${created})`
      }

      assert.deepStrictEqual(
        (yield* store.scripts(agent)).map(({ display_name }) => display_name),
        ["c", "a", "b"]
      )
      assert.deepStrictEqual(
        (yield* store.devcontainers(agent)).map(({ name }) => name),
        ["c", "a", "b"]
      )
    })
  )

  it.effect("reads an agent's scripts and devcontainers, and no other agent's", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* ManifestStore
      const [agent, other] = yield* Seed.agents(2, [])
      yield* sql`
        INSERT INTO workspace_agent_scripts
          (id, workspace_agent_id, log_source_id, log_path, display_name, script, cron, run_on_start, timeout_seconds)
        SELECT gen_random_uuid(), id, gen_random_uuid(), 'start.log', 'Start', 'make', '0 * * * *', true, 60
        FROM workspace_agents WHERE id IN (${agent}, ${other})`
      yield* sql`
        INSERT INTO workspace_agent_devcontainers (id, workspace_agent_id, name, workspace_folder, config_path)
        SELECT gen_random_uuid(), id, 'web', '/src', '/src/devcontainer.json'
        FROM workspace_agents WHERE id IN (${agent}, ${other})`

      const scripts = yield* store.scripts(agent)
      const devcontainers = yield* store.devcontainers(agent)

      assert.deepStrictEqual(
        scripts.map(({ id: _, log_source_id: __, ...script }) => script),
        [
          {
            log_path: "start.log",
            display_name: "Start",
            script: "make",
            cron: "0 * * * *",
            run_on_start: true,
            run_on_stop: false,
            start_blocks_login: false,
            timeout: Duration.minutes(1)
          }
        ]
      )
      assert.deepStrictEqual(
        devcontainers.map(({ id: _, ...devcontainer }) => devcontainer),
        [{ name: "web", workspace_folder: "/src", config_path: "/src/devcontainer.json" }]
      )
    })
  )
})
