import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import * as Crypto from "node:crypto"
import { AgentId, TemplateId } from "../../src/domain/Ids.ts"
import * as PgSubAgentStore from "../../src/storage/PgSubAgentStore.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { type App, type NewSubAgent, SubAgentStore } from "../../src/agentapi/ports/SubAgentStore.ts"

const digest = () => new Uint8Array(Crypto.randomBytes(32))

const newChild = (name: string): NewSubAgent => ({
  id: Seed.newId(AgentId),
  name,
  digest: digest(),
  directory: "/workspaces",
  architecture: "arm64",
  operatingSystem: "darwin",
  displayApps: ["vscode", "web_terminal"]
})

/** An agent, and another one of the same build. */
const parents = Effect.gen(function* () {
  const [parent, neighbour] = yield* Seed.agents(2, [])
  return { parent, neighbour }
})

/** Creates a child of an agent that shows the token that it has. */
const create = Effect.fnUntraced(function* (parentId: AgentId, child: NewSubAgent, maxChildren = 100) {
  const { create } = yield* SubAgentStore
  return yield* create({ id: parentId, digest: yield* digestOf(parentId) }, child, maxChildren)
})

const digestOf = Effect.fnUntraced(function* (id: AgentId) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{
    digest: Uint8Array
  }>`SELECT auth_token_hash AS digest FROM workspace_agents WHERE id = ${id}`
  return row!.digest
})

const child = ({ digest, id, name }: NewSubAgent) => ({ id, name, digest })

/** An app as a row may be compared with it. */
const app = (slug: string, overrides: Partial<App> = {}): { readonly [Field in keyof App]: App[Field] } => ({
  slug,
  command: "serve",
  displayName: "Web",
  displayGroup: "Servers",
  displayOrder: -2,
  external: true,
  hidden: true,
  icon: "/icon.svg",
  openIn: "tab",
  sharingLevel: "organization",
  subdomain: true,
  url: "http://localhost",
  healthcheckUrl: "http://localhost/health",
  healthcheckInterval: 5,
  healthcheckThreshold: 3,
  health: "initializing",
  ...overrides
})

layer(Layer.provideMerge(PgSubAgentStore.layer, Postgres.layer), { excludeTestServices: true })(
  "PgSubAgentStore",
  (it) => {
    it.effect("creates as many children as an agent may have, however many are asked for at once [SA-14]", () =>
      Effect.gen(function* () {
        const { children, remove } = yield* SubAgentStore
        const { neighbour, parent } = yield* parents
        const names = Array.from({ length: 8 }, (_, index) => `child${index}`)

        const outcomes = yield* Effect.forEach(names, (name) => create(parent, newChild(name), 3), {
          concurrency: "unbounded"
        })

        assert.strictEqual(outcomes.filter((outcome) => outcome === "created").length, 3)
        assert.strictEqual(outcomes.filter((outcome) => outcome === "too many").length, 5)
        assert.strictEqual(yield* create(neighbour, newChild("other"), 3), "created")
        const [first] = yield* children(parent)
        yield* remove(parent, first!.id)
        assert.strictEqual(yield* create(parent, newChild("another"), 3), "created")
      })
    )

    it.effect("creates a sub-agent in the build of its parent, with the settings that it inherits [SA-04]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { parent } = yield* parents
        yield* sql`
          UPDATE workspace_agents SET
            connection_timeout_seconds = 77, troubleshooting_url = 'https://help', api_key_scope = 'no_user_data',
            architecture = 'amd64', directory = '/parent', motd_file = '/etc/motd'
          WHERE id = ${parent}`
        const dev = newChild("dev")

        assert.strictEqual(yield* create(parent, dev), "created")

        const [row, above] = yield* sql`
          SELECT parent_id, workspace_build_id, name, directory, architecture, operating_system, display_apps,
            connection_timeout_seconds, troubleshooting_url, api_key_scope, motd_file, deleted, auth_token_hash
          FROM workspace_agents WHERE id IN ${sql.in([dev.id, parent])} ORDER BY id = ${parent}`
        assert.deepInclude(row, {
          parent_id: parent,
          workspace_build_id: above!["workspace_build_id"],
          name: "dev",
          directory: "/workspaces",
          architecture: "arm64",
          operating_system: "darwin",
          display_apps: ["vscode", "web_terminal"],
          connection_timeout_seconds: 77,
          troubleshooting_url: "https://help",
          api_key_scope: "no_user_data",
          motd_file: "",
          deleted: false,
          auth_token_hash: dev.digest
        })
      })
    )

    it.effect("creates none under a name of the build, and one under the name of a deleted child [SA-12]", () =>
      Effect.gen(function* () {
        const { remove } = yield* SubAgentStore
        const { neighbour, parent } = yield* parents
        const dev = newChild("dev")

        assert.strictEqual(yield* create(parent, { ...dev, displayApps: [] }), "created")
        assert.strictEqual(yield* create(parent, newChild("DEV")), "name taken")
        assert.strictEqual(yield* create(neighbour, newChild("dev")), "name taken")
        assert.isTrue(yield* remove(parent, dev.id))
        assert.strictEqual(yield* create(neighbour, newChild("dev")), "created")
      })
    )

    it.effect("creates none for a parent that shows another token than it has, or that is deleted [SA-05]", () =>
      Effect.gen(function* () {
        const { children, create, remove } = yield* SubAgentStore
        const { parent } = yield* parents
        const dev = newChild("dev")

        assert.strictEqual(yield* create({ id: parent, digest: digest() }, dev, 100), "token replaced")
        assert.strictEqual(yield* create({ id: parent, digest: yield* digestOf(parent) }, dev, 100), "created")
        assert.isTrue(yield* remove(parent, dev.id))
        assert.strictEqual(yield* create(dev, newChild("orphan"), 100), "token replaced")
        assert.deepStrictEqual(yield* children(dev.id), [])
      })
    )

    it.effect("deletes a child with its own children [SA-12]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { remove } = yield* SubAgentStore
        const { parent } = yield* parents
        const [dev, sibling, grandchild] = [newChild("dev"), newChild("sibling"), newChild("grandchild")]
        for (const each of [dev, sibling]) yield* create(parent, each)
        yield* create(dev.id, grandchild)

        assert.isTrue(yield* remove(parent, dev.id))

        assert.deepStrictEqual(
          yield* sql`SELECT name FROM workspace_agents WHERE deleted AND id IN ${sql.in([dev.id, sibling.id, grandchild.id])}
            ORDER BY name`,
          [{ name: "dev" }, { name: "grandchild" }]
        )
      })
    )

    it.effect("knows the living children of an agent, the oldest first [SA-13]", () =>
      Effect.gen(function* () {
        const { children, remove } = yield* SubAgentStore
        const { neighbour, parent } = yield* parents
        const [b, a, gone, other] = [newChild("b"), newChild("a"), newChild("gone"), newChild("other")]
        for (const each of [b, a, gone]) yield* create(parent, each)
        yield* create(neighbour, other)

        yield* remove(parent, gone.id)

        assert.deepStrictEqual(yield* children(parent), [child(b), child(a)])
        assert.deepStrictEqual(yield* children(neighbour), [child(other)])
        assert.deepStrictEqual(yield* children(a.id), [])
      })
    )

    it.effect(
      "changes display apps, and the directory where there is one, of a living child alone [SA-10, SA-11]",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { change, remove } = yield* SubAgentStore
          const { neighbour, parent } = yield* parents
          const dev = newChild("dev")
          yield* create(parent, dev)
          const row = sql`SELECT directory, display_apps FROM workspace_agents WHERE id = ${dev.id}`

          const kept = yield* change(parent, { id: dev.id, directory: "", displayApps: ["ssh_helper"] })
          assert.deepStrictEqual(kept, Option.some(child(dev)))
          assert.deepStrictEqual(yield* row, [{ directory: "/workspaces", display_apps: ["ssh_helper"] }])
          yield* change(parent, { id: dev.id, directory: "/new", displayApps: [] })
          assert.deepStrictEqual(yield* row, [{ directory: "/new", display_apps: [] }])

          const foreign = { id: dev.id, directory: "/foreign", displayApps: [] }
          assert.isTrue(Option.isNone(yield* change(neighbour, foreign)))
          assert.isTrue(Option.isNone(yield* change(dev.id, foreign)))
          assert.isTrue(Option.isNone(yield* change(parent, { ...foreign, id: parent })))
          yield* remove(parent, dev.id)
          assert.isTrue(Option.isNone(yield* change(parent, foreign)))
          assert.deepStrictEqual(yield* row, [{ directory: "/new", display_apps: [] }])
        })
    )

    it.effect("deletes children alone, keeps their rows, and does it again without harm [SA-12]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { remove } = yield* SubAgentStore
        const { neighbour, parent } = yield* parents
        const dev = newChild("dev")
        yield* create(parent, dev)
        const row = sql`SELECT deleted FROM workspace_agents WHERE id = ${dev.id}`

        for (const [by, id] of [
          [neighbour, dev.id],
          [parent, parent],
          [parent, neighbour],
          [dev.id, parent],
          [parent, Seed.newId(AgentId)]
        ] as const) {
          assert.isFalse(yield* remove(by, id))
        }
        assert.deepStrictEqual(yield* row, [{ deleted: false }])
        assert.isTrue(yield* remove(parent, dev.id))
        assert.isTrue(yield* remove(parent, dev.id))
        assert.deepStrictEqual(yield* row, [{ deleted: true }])
        assert.deepStrictEqual(
          yield* sql`SELECT id FROM workspace_agents WHERE deleted AND id IN ${sql.in([parent, neighbour])}`,
          []
        )
      })
    )

    it.effect("replaces the tokens of sub-agents while the parent has the expected token [SA-13]", () =>
      Effect.gen(function* () {
        const { children, rotateTokens } = yield* SubAgentStore
        const { neighbour, parent } = yield* parents
        const [dev, test, other] = [newChild("dev"), newChild("test"), newChild("other")]
        yield* create(parent, dev)
        yield* create(parent, test)
        yield* create(neighbour, other)
        const now = { id: parent, digest: yield* digestOf(parent) }
        const [first, second] = [digest(), digest()]

        assert.isFalse(yield* rotateTokens({ id: parent, digest: digest() }, [{ id: dev.id, digest: first }]))
        assert.isFalse(yield* rotateTokens(now, [{ id: other.id, digest: first }]))
        assert.deepStrictEqual(yield* children(parent), [child(dev), child(test)])
        assert.isTrue(
          yield* rotateTokens(now, [
            { id: dev.id, digest: first },
            { id: test.id, digest: second }
          ])
        )

        assert.deepStrictEqual(yield* children(parent), [
          { ...child(dev), digest: first },
          { ...child(test), digest: second }
        ])
        assert.deepStrictEqual(yield* children(neighbour), [child(other)])
      })
    )

    it.effect("creates the apps of an agent as they are, and changes those that it has [SA-09]", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { putApps } = yield* SubAgentStore
        const { neighbour, parent } = yield* parents
        const rows = (agentId: AgentId) => sql`
          SELECT slug, command, display_name AS "displayName", display_group AS "displayGroup",
            display_order AS "displayOrder", external, hidden, icon, open_in AS "openIn", sharing_level AS "sharingLevel",
            subdomain, url, healthcheck_url AS "healthcheckUrl", healthcheck_interval_seconds AS "healthcheckInterval",
            healthcheck_threshold AS "healthcheckThreshold", health
          FROM workspace_apps WHERE agent_id = ${agentId} ORDER BY slug`

        yield* putApps(parent, [app("one"), app("two", { command: "'; DROP TABLE users; -- \"\\ 😀" })])
        yield* putApps(neighbour, [app("one")])
        const changed = app("one", {
          command: "",
          displayName: "Other",
          displayGroup: "",
          displayOrder: 0,
          external: false,
          hidden: false,
          icon: "",
          openIn: "slim-window",
          sharingLevel: "public",
          subdomain: false,
          url: "",
          healthcheckUrl: "",
          healthcheckInterval: 0,
          healthcheckThreshold: 0,
          health: "disabled"
        })
        yield* putApps(parent, [changed])

        assert.deepStrictEqual(yield* rows(parent), [
          changed,
          app("two", { command: "'; DROP TABLE users; -- \"\\ 😀" })
        ])
        assert.deepStrictEqual(yield* rows(neighbour), [app("one")])
      })
    )

    it.effect("returns what a template allows, and nothing for a deleted template", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const { maxSharingLevel } = yield* SubAgentStore
        const { templateId } = yield* Seed.workspace

        assert.strictEqual(yield* maxSharingLevel(templateId), "public")
        yield* sql`UPDATE templates SET max_port_sharing_level = 'organization' WHERE id = ${templateId}`
        assert.strictEqual(yield* maxSharingLevel(templateId), "organization")
        assert.strictEqual(yield* maxSharingLevel(Seed.newId(TemplateId)), "owner")
      })
    )
  }
)
