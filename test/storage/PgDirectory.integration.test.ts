import { NodeCrypto } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Layer, Option, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { AccessStore } from "../../src/access/AccessStore.ts"
import * as Token from "../../src/access/Token.ts"
import { MetadataStore } from "../../src/metadata/MetadataStore.ts"
import { WorkspaceId } from "../../src/domain/Ids.ts"
import { zeroTime } from "../../src/domain/Metadata.ts"
import * as Administrator from "../../src/admin/Administrator.ts"
import { Directory } from "../../src/admin/Directory.ts"
import * as PgAccessStore from "../../src/storage/PgAccessStore.ts"
import * as PgDirectory from "../../src/storage/PgDirectory.ts"
import * as PgMetadataStore from "../../src/storage/PgMetadataStore.ts"
import * as People from "../support/directory.ts"
import * as Postgres from "../support/Postgres.ts"
import { newId } from "../support/seed.ts"

const stores = Layer.mergeAll(PgAccessStore.layer, PgDirectory.layer, PgMetadataStore.layer()).pipe(
  Layer.provideMerge(NodeCrypto.layer)
)

const userWith = Effect.fnUntraced(function* (token: Token.Token) {
  const [found] = yield* (yield* AccessStore).users([yield* Token.digest(token)])
  return Option.map(Option.fromUndefinedOr(found), ({ subject }) => subject.username)
})

const newAgent = Effect.fnUntraced(function* (name: string, ...keys: ReadonlyArray<string>) {
  const token = yield* Token.digest(yield* Token.mint)
  return { name, token, metadata: keys.map((key, index) => People.describeKey(key, index)) }
})

const newWorkspace = Effect.gen(function* () {
  const { createWorkspace } = yield* Directory
  return yield* createWorkspace({ name: People.newName("workspace"), owner: (yield* People.user()).username })
})

layer(Layer.provideMerge(stores, Postgres.layer), { excludeTestServices: true })(
  "PgDirectory in a new database",
  (it) => {
    it.effect("creates what the first workspaces need once, however many come together", () =>
      Effect.gen(function* () {
        const { createWorkspace } = yield* Directory
        const { username: owner } = yield* People.user()

        yield* Effect.forEach(
          Array.from({ length: 8 }, (_, number) => `workspace-${number}`),
          (name) => createWorkspace({ name, owner }),
          { concurrency: "unbounded" }
        )

        assert.deepStrictEqual(
          yield* SqlClient.SqlClient.use(
            (sql) => sql`
            SELECT (SELECT count(*)::int4 FROM organizations) AS organizations, count(*)::int4 AS templates
            FROM templates`
          ),
          [{ organizations: 1, templates: 1 }]
        )
      })
    )
  }
)

layer(Layer.provideMerge(stores, Postgres.layer), { excludeTestServices: true })("PgDirectory", (it) => {
  it.effect("creates users and lists them by name", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const prefix = People.newName("user")

      const zoe = yield* directory.createUser({ username: `${prefix}-zoe`, isAdmin: false })
      const ada = yield* directory.createUser({ username: `${prefix}-ada`, isAdmin: true })

      assert.deepInclude(ada, { username: `${prefix}-ada`, isAdmin: true })
      assert.deepStrictEqual(
        (yield* directory.users).filter(({ username }) => username.startsWith(prefix)),
        [ada, zoe]
      )
    })
  )

  it.effect("takes a name of a user once, whatever its case, and again when the user is deleted", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const { id, username } = yield* People.user()

      for (const taken of [username, username.toUpperCase()]) {
        const error = yield* Effect.flip(directory.createUser({ username: taken, isAdmin: false }))
        assert.deepInclude(error, { _tag: "NameTaken", message: `there is a user ${taken} already` })
      }

      yield* SqlClient.SqlClient.use((sql) => sql`UPDATE users SET deleted = true WHERE id = ${id}`)
      yield* directory.createUser({ username, isAdmin: false })
      assert.deepStrictEqual(
        (yield* directory.users).filter((user) => user.username === username).map((user) => user.id === id),
        [false]
      )
    })
  )

  it.effect("puts a token in the place of the one of the same name and beside the others", () =>
    Effect.gen(function* () {
      const person = yield* People.user()
      const first = yield* Administrator.mint(person.username, "laptop")
      const second = yield* Administrator.mint(person.username.toUpperCase(), "laptop")

      assert.deepStrictEqual(yield* userWith(person.token), Option.some(person.username))
      assert.deepStrictEqual(yield* userWith(first), Option.none())
      assert.deepStrictEqual(yield* userWith(second), Option.some(person.username))
    })
  )

  it.effect("gives a token that is stored again to the last user, under the last name", () =>
    Effect.gen(function* () {
      const { putToken } = yield* Directory
      const [one, other] = [yield* People.user(), yield* People.user()]
      const token = yield* Token.digest(one.token)

      yield* putToken({ username: one.username, name: "environment", token })
      yield* putToken({ username: one.username, name: "environment", token })
      assert.deepStrictEqual(yield* userWith(one.token), Option.some(one.username))

      yield* putToken({ username: other.username, name: "found", token })
      assert.deepStrictEqual(yield* userWith(one.token), Option.some(other.username))
    })
  )

  it.effect("returns no user that does not exist", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const token = yield* Token.digest(yield* Token.mint)

      const errors = yield* Effect.all([
        Effect.flip(directory.putToken({ username: "nobody", name: "laptop", token })),
        Effect.flip(directory.createWorkspace({ name: "dev", owner: "nobody" }))
      ])

      for (const error of errors)
        assert.deepInclude(error, { _tag: "UserNotFound", message: "there is no user nobody" })
    })
  )

  it.effect("creates workspaces that can take agents at once, and lists them with how many they have", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const { username: owner } = yield* People.user()

      const zoo = yield* directory.createWorkspace({ name: "zoo", owner })
      const api = yield* directory.createWorkspace({ name: "api", owner })
      yield* directory.createAgents(api.id, [yield* newAgent("one"), yield* newAgent("two")])

      assert.deepStrictEqual(
        (yield* directory.workspaces).filter((workspace) => workspace.owner === owner),
        [
          { ...api, agents: 2 },
          { ...zoo, agents: 0 }
        ]
      )
    })
  )

  it.effect("takes the name of a workspace once for each owner, and leaves nothing of the second", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const [one, other] = [yield* People.user(), yield* People.user()]
      yield* directory.createWorkspace({ name: "dev", owner: one.username })
      yield* directory.createWorkspace({ name: "dev", owner: other.username })

      const error = yield* Effect.flip(directory.createWorkspace({ name: "DEV", owner: one.username }))

      assert.strictEqual(error._tag, "NameTaken")
      assert.include(error.message, one.username)
      assert.lengthOf(
        (yield* directory.workspaces).filter(({ owner }) => owner === one.username),
        1
      )
    })
  )

  it.effect("creates agents with what they report, and a value that is there before the first report", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const { id } = yield* newWorkspace
      const described = {
        ...People.describeKey("cpu", 3),
        interval: Duration.millis(1_500),
        timeout: Duration.zero,
        script: "top | head -1 # 100 % 'ö'"
      }

      const created = yield* directory.createAgents(id, [
        { ...(yield* newAgent("main")), metadata: [described, People.describeKey("disk", 1)] },
        yield* newAgent("side")
      ])

      const listed = yield* directory.agents(id)
      assert.deepStrictEqual(
        listed.map((agent) => [agent.name, agent.metadata.map(({ key }) => key)]),
        [
          ["main", ["disk", "cpu"]],
          ["side", []]
        ]
      )
      const { interval, timeout, ...words } = listed[0]!.metadata[1]!
      assert.deepInclude(words, { key: "cpu", displayName: "CPU", script: described.script, displayOrder: 3 })
      assert.deepStrictEqual([Duration.toMillis(interval), Duration.toMillis(timeout)], [1_500, 0])
      assert.sameDeepMembers(
        created.map((agent) => agent.id),
        listed.map((agent) => agent.id)
      )
      const read = yield* MetadataStore.use((store) => store.read(listed[0]!.id))
      assert.sameDeepMembers(
        read.map(({ collectedAt, key, script, value }) => [key, script, value, collectedAt]),
        [
          ["cpu", described.script, "", zeroTime],
          ["disk", "measure disk", "", zeroTime]
        ]
      )
      assert.deepStrictEqual(
        yield* SqlClient.SqlClient.use(
          (sql) =>
            sql`SELECT key FROM workspace_agent_metadata WHERE workspace_agent_id = ${listed[0]!.id} ORDER BY key`
        ),
        [{ key: "cpu" }, { key: "disk" }]
      )
    })
  )

  it.effect("creates all agents of a call or none", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const { id } = yield* newWorkspace
      yield* directory.createAgents(id, [yield* newAgent("main", "cpu")])

      const error = yield* Effect.flip(
        directory.createAgents(id, [yield* newAgent("first", "cpu"), yield* newAgent("MAIN", "cpu")])
      )

      assert.strictEqual(error._tag, "NameTaken")
      assert.deepStrictEqual(
        (yield* directory.agents(id)).map(({ name }) => name),
        ["main"]
      )
    })
  )

  it.effect("creates a thousand agents in one call, in the order of their numbers", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const { id } = yield* newWorkspace
      const names = Array.from({ length: 1_000 }, (_, index) => `agent-${index + 1}`)

      yield* directory.createAgents(id, yield* Effect.forEach(names, (name) => newAgent(name, "cpu", "disk")))

      assert.deepStrictEqual(
        (yield* directory.agents(id)).map(({ metadata, name }) => `${name} ${metadata.length}`),
        names.map((name) => `${name} 2`)
      )
    })
  )

  it.effect("knows no workspace that is not there or deleted", () =>
    Effect.gen(function* () {
      const directory = yield* Directory
      const deleted = yield* newWorkspace
      yield* SqlClient.SqlClient.use((sql) => sql`UPDATE workspaces SET deleted = true WHERE id = ${deleted.id}`)

      for (const id of [deleted.id, newId(WorkspaceId)]) {
        const errors = yield* Effect.all([
          Effect.flip(directory.agents(id)),
          Effect.flip(directory.createAgents(id, [yield* newAgent("main")]))
        ])
        for (const error of errors) {
          assert.deepInclude(error, { _tag: "WorkspaceNotFound", message: `there is no workspace ${id}` })
        }
      }
      assert.notInclude(
        (yield* directory.workspaces).map(({ id }) => id),
        deleted.id
      )
    })
  )

  it.effect("makes workspaces from the default template that there is, not from one that was deleted", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const before = yield* People.agent()
      yield* sql`UPDATE templates SET deleted = true WHERE name = 'default'`

      const after = yield* People.agent()

      assert.deepStrictEqual(
        yield* sql`
          SELECT workspace.id, template.deleted FROM workspaces AS workspace
          JOIN templates AS template ON template.id = workspace.template_id
          WHERE workspace.id IN ${sql.in([before.workspace.id, after.workspace.id])} ORDER BY template.deleted`,
        [
          { id: after.workspace.id, deleted: false },
          { id: before.workspace.id, deleted: true }
        ]
      )
    })
  )

  it.effect("keeps digests and no token", () =>
    Effect.gen(function* () {
      const { owner, token } = yield* People.agent()

      const dump = yield* SqlClient.SqlClient.use(
        (sql) => sql<{ row: string }>`
          SELECT token::text AS row FROM api_tokens AS token UNION ALL SELECT agent::text FROM workspace_agents AS agent`
      )

      const rows = dump.map(({ row }) => row).join("\n")
      assert.include(rows, Buffer.from(yield* Token.digest(token)).toString("hex"))
      for (const secret of [token, owner.token]) assert.notInclude(rows, Redacted.value(secret))
    })
  )
})
