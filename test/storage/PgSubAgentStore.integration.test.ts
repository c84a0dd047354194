import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import type { AgentId } from "../../src/domain/Ids.ts"
import { TemplateId } from "../../src/domain/Ids.ts"
import * as PgSubAgentStore from "../../src/storage/PgSubAgentStore.ts"
import { create as createUnder, newChild, Parents, subAgentStoreSuite } from "../agentapi/ports/subAgentStoreSuite.ts"
import * as Postgres from "../support/Postgres.ts"
import * as Seed from "../support/seed.ts"
import { bareApp } from "../support/subAgents.ts"
import { type App, type NewSubAgent, SubAgentStore } from "../../src/agentapi/ports/SubAgentStore.ts"

const parents = Layer.effect(
  Parents,
  SqlClient.SqlClient.useSync((sql) => ({
    create: Effect.gen(function* () {
      const [parent, neighbour] = yield* Seed.agents(2, [])
      return { parent: yield* agentToken(parent), neighbour: yield* agentToken(neighbour) }
    }).pipe(Effect.orDie, Effect.provideService(SqlClient.SqlClient, sql))
  }))
)

const agentToken = Effect.fnUntraced(function* (id: AgentId) {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{
    digest: Uint8Array
  }>`SELECT auth_token_hash AS digest FROM workspace_agents WHERE id = ${id}`
  return { id, digest: Uint8Array.from(row!.digest) }
})

/** The ids of an agent and of another one of the same build, and a call that creates a child of the first. */
const family = Effect.gen(function* () {
  const { neighbour, parent } = yield* Parents.use(({ create }) => create)
  return { parent: parent.id, neighbour: neighbour.id, create: (child: NewSubAgent) => createUnder(parent, child) }
})

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

layer(Layer.merge(PgSubAgentStore.layer, parents).pipe(Layer.provideMerge(Postgres.layer)), {
  excludeTestServices: true
})("PgSubAgentStore", (it) => {
  subAgentStoreSuite(it)

  it.effect("creates a sub-agent in the build of its parent, with the settings that it inherits [SA-04]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { create, parent } = yield* family
      yield* sql`
          UPDATE workspace_agents SET
            connection_timeout_seconds = 77, troubleshooting_url = 'https://help', api_key_scope = 'no_user_data',
            architecture = 'amd64', directory = '/parent', motd_file = '/etc/motd'
          WHERE id = ${parent}`
      const dev = newChild("dev")

      assert.strictEqual(yield* create(dev), "created")

      const [row, above] = yield* sql`
          SELECT parent_id, workspace_build_id, name, directory, architecture, operating_system, display_apps,
            connection_timeout_seconds, troubleshooting_url, api_key_scope, motd_file, deleted, auth_token_hash
          FROM workspace_agents WHERE id IN ${sql.in([dev.id, parent])} ORDER BY id = ${parent}`
      assert.deepInclude(row, {
        parent_id: parent,
        workspace_build_id: above!["workspace_build_id"],
        name: dev.name,
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

  it.effect("changes display apps, and the directory where there is one, of a living child alone [SA-10, SA-11]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { change, remove } = yield* SubAgentStore
      const { create, neighbour, parent } = yield* family
      const dev = newChild("dev")
      yield* create(dev)
      const row = sql`SELECT directory, display_apps FROM workspace_agents WHERE id = ${dev.id}`

      const kept = yield* change(parent, { id: dev.id, directory: "", displayApps: ["ssh_helper"] })
      assert.deepStrictEqual(kept, Option.some({ id: dev.id, name: dev.name, digest: dev.digest }))
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

  it.effect("keeps the rows of deleted children, and changes none of other agents [SA-12]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { remove } = yield* SubAgentStore
      const { create, neighbour, parent } = yield* family
      const [dev, sibling, grandchild] = [newChild("dev"), newChild("sibling"), newChild("grandchild")]
      for (const each of [dev, sibling]) yield* create(each)
      yield* createUnder(dev, grandchild)
      const known = [parent, neighbour, dev.id, sibling.id, grandchild.id]

      assert.isTrue(yield* remove(parent, dev.id))

      const rows = yield* sql<{ id: AgentId; deleted: boolean }>`
          SELECT id, deleted FROM workspace_agents WHERE id IN ${sql.in(known)}`
      assert.lengthOf(rows, known.length)
      assert.sameMembers(
        rows.flatMap(({ deleted, id }) => (deleted ? [id] : [])),
        [dev.id, grandchild.id]
      )
    })
  )

  it.effect("creates the apps of an agent as they are, and changes those that it has [SA-09]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { putApps } = yield* SubAgentStore
      const { neighbour, parent } = yield* family
      const rows = (agentId: AgentId) => sql`
          SELECT slug, command, display_name AS "displayName", display_group AS "displayGroup",
            display_order AS "displayOrder", external, hidden, icon, open_in AS "openIn", sharing_level AS "sharingLevel",
            subdomain, url, healthcheck_url AS "healthcheckUrl", healthcheck_interval_seconds AS "healthcheckInterval",
            healthcheck_threshold AS "healthcheckThreshold", health
          FROM workspace_apps WHERE agent_id = ${agentId} ORDER BY slug`

      yield* putApps(parent, [app("one"), app("two", { command: "'; DROP TABLE users; -- \"\\ 😀" })], 10)
      yield* putApps(neighbour, [app("one")], 10)
      const changed = app("one", { ...bareApp, displayName: "Other", sharingLevel: "public" })
      yield* putApps(parent, [changed], 10)

      assert.deepStrictEqual(yield* rows(parent), [changed, app("two", { command: "'; DROP TABLE users; -- \"\\ 😀" })])
      assert.deepStrictEqual(yield* rows(neighbour), [app("one")])
    })
  )

  it.effect("creates as many apps as an agent may have, however many are requested at once [SA-15]", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { putApps } = yield* SubAgentStore
      const { neighbour, parent } = yield* family
      const stored = Effect.map(
        sql<{ slug: string }>`SELECT slug FROM workspace_apps WHERE agent_id = ${parent} ORDER BY slug`,
        (rows) => rows.map(({ slug }) => slug)
      )

      assert.deepStrictEqual(yield* putApps(parent, [app("b"), app("a"), app("c")], 2), ["c"])
      assert.deepStrictEqual(yield* putApps(parent, [app("d"), app("a"), app("b")], 2), ["d"])
      assert.deepStrictEqual(yield* stored, ["a", "b"])
      assert.deepStrictEqual(yield* putApps(neighbour, [app("a"), app("b")], 2), [])

      const refused = yield* Effect.forEach(["e", "f", "g", "h", "i", "j"], (slug) => putApps(parent, [app(slug)], 4), {
        concurrency: "unbounded"
      })
      assert.lengthOf(refused.flat(), 4)
      assert.lengthOf(yield* stored, 4)
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
})
