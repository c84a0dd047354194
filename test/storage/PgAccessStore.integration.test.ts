import { NodeCrypto } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Array as Arr, Effect, Fiber, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { AccessStore } from "../../src/access/AccessStore.ts"
import * as Token from "../../src/access/Token.ts"
import { AgentId, BuildId } from "../../src/domain/Ids.ts"
import { Directory } from "../../src/admin/Directory.ts"
import * as PgAccessStore from "../../src/storage/PgAccessStore.ts"
import * as PgDirectory from "../../src/storage/PgDirectory.ts"
import { accessStoreSuite, Subjects } from "../access/storeSuite.ts"
import * as People from "../support/directory.ts"
import { whileLocked } from "../support/locked.ts"
import * as PgProxy from "../support/PgProxy.ts"
import * as Postgres from "../support/Postgres.ts"
import { newId } from "../support/seed.ts"

const stores = Layer.mergeAll(PgAccessStore.layer, PgDirectory.layer).pipe(Layer.provideMerge(NodeCrypto.layer))

const agentWith = (token: Token.Token) =>
  Effect.flatMap(Token.digest(token), (digest) =>
    AccessStore.use((store) => Effect.map(store.agents([digest]), Arr.head))
  )

const userWith = (token: Token.Token) =>
  Effect.flatMap(Token.digest(token), (digest) =>
    AccessStore.use((store) => Effect.map(store.users([digest]), Arr.head))
  )

const ownerOf = (id: AgentId) =>
  AccessStore.use((store) =>
    Effect.map(store.ownerships([id]), ([ownership]) =>
      Option.map(Option.fromUndefinedOr(ownership), ({ ownerId }) => ownerId)
    )
  )

const execute = (statement: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
  Effect.orDie(SqlClient.SqlClient.use(statement))

const subjects = Layer.effect(
  Subjects,
  Effect.gen(function* () {
    const agents = yield* Effect.replicateEffect(People.agent(), 2)
    const users = yield* Effect.replicateEffect(People.user(), 2)
    return {
      agents: agents.map(({ id, owner, token, workspace }) => ({
        agentId: id,
        ownerId: owner.id,
        workspaceId: workspace.id,
        token
      })),
      users
    }
  }).pipe(Effect.orDie)
)

layer(subjects.pipe(Layer.provideMerge(stores), Layer.provideMerge(Postgres.layer)), { excludeTestServices: true })(
  "the access store in Postgres",
  accessStoreSuite
)

layer(Layer.provideMerge(stores, Postgres.layer), { excludeTestServices: true })("PgAccessStore", (it) => {
  it.effect("knows an agent by its token, with all that it belongs to", () =>
    Effect.gen(function* () {
      const { id, owner, token, workspace } = yield* People.agent()

      const { digest, subject } = Option.getOrThrow(yield* agentWith(token))

      assert.deepStrictEqual(digest, yield* Token.digest(token))
      assert.deepInclude(subject, {
        agentId: id,
        agentName: "main",
        parentId: null,
        firstConnectedAt: null,
        disconnectedAt: null
      })
      assert.deepInclude(subject.workspace, {
        id: workspace.id,
        name: workspace.name,
        ownerId: owner.id,
        ownerName: owner.username,
        templateName: "default",
        autostartSchedule: null
      })
      assert.deepStrictEqual(
        yield* SqlClient.SqlClient.use(
          (sql) => sql`
            SELECT organization.name AS organization, template.name AS template
            FROM organizations AS organization JOIN templates AS template ON template.organization_id = organization.id
            WHERE organization.id = ${subject.workspace.organizationId} AND template.id = ${subject.workspace.templateId}`
        ),
        [{ organization: "default", template: "default" }]
      )
    })
  )

  it.effect("finds nobody for an unknown token [CN-04]", () =>
    Effect.gen(function* () {
      const token = yield* Token.mint

      assert.isTrue(Option.isNone(yield* agentWith(token)))
      assert.isTrue(Option.isNone(yield* userWith(token)))
      assert.isTrue(Option.isNone(yield* ownerOf(newId(AgentId))))
    })
  )

  it.effect("keeps the tokens of agents and of users apart", () =>
    Effect.gen(function* () {
      const { owner, token } = yield* People.agent()

      assert.isTrue(Option.isNone(yield* userWith(token)))
      assert.isTrue(Option.isNone(yield* agentWith(owner.token)))
    })
  )

  it.effect("knows an agent of the latest build alone [CN-05]", () =>
    Effect.gen(function* () {
      const { id, owner, token, workspace } = yield* People.agent()
      const next = newId(BuildId)

      yield* execute(
        (sql) => sql`
          INSERT INTO workspace_builds (id, workspace_id, build_number, transition)
          VALUES (${next}, ${workspace.id}, 2, 'start')`
      )
      assert.isTrue(Option.isNone(yield* agentWith(token)))
      assert.deepStrictEqual(yield* ownerOf(id), Option.some(owner.id))

      yield* execute((sql) => sql`DELETE FROM workspace_builds WHERE id = ${next}`)
      assert.isTrue(Option.isSome(yield* agentWith(token)))
    })
  )

  it.effect(
    "knows an agent of the build that started its workspace while the next one is about to stop it [CN-06]",
    () =>
      Effect.gen(function* () {
        const { token, workspace } = yield* People.agent()
        const stop = newId(BuildId)
        const isKnown = Effect.map(agentWith(token), Option.isSome)
        yield* execute(
          (sql) => sql`
          INSERT INTO workspace_builds (id, workspace_id, build_number, transition)
          VALUES (${stop}, ${workspace.id}, 2, 'stop')`
        )

        const jobs = ["pending", "running", "succeeded", "canceling", "canceled", "failed", "unknown"]
        const known = yield* Effect.forEach(jobs, (job) =>
          Effect.andThen(
            execute((sql) => sql`UPDATE workspace_builds SET job_status = ${job} WHERE id = ${stop}`),
            isKnown
          )
        )
        assert.deepStrictEqual(
          jobs.filter((_, index) => known[index]),
          ["pending", "running"]
        )

        yield* execute((sql) => sql`UPDATE workspace_builds SET job_status = 'running' WHERE id = ${stop}`)
        for (const transition of ["start", "delete"]) {
          yield* execute((sql) => sql`UPDATE workspace_builds SET transition = ${transition} WHERE id = ${stop}`)
          assert.isFalse(yield* isKnown, transition)
        }
      })
  )

  it.effect("knows no agent before a stop that has not started its workspace, or not just before [CN-06]", () =>
    Effect.gen(function* () {
      const { token, workspace } = yield* People.agent()
      const isKnown = Effect.map(agentWith(token), Option.isSome)
      const first = (set: { readonly transition: string; readonly job_status: string }) =>
        execute(
          (sql) =>
            sql`UPDATE workspace_builds SET ${sql.update(set)} WHERE workspace_id = ${workspace.id} AND build_number = 1`
        )
      yield* execute(
        (sql) => sql`
          INSERT INTO workspace_builds (id, workspace_id, build_number, transition)
          VALUES (${newId(BuildId)}, ${workspace.id}, 2, 'stop')`
      )

      assert.isTrue(yield* isKnown)
      for (const job_status of ["pending", "running", "canceled", "failed"]) {
        yield* first({ transition: "start", job_status })
        assert.isFalse(yield* isKnown, job_status)
      }
      yield* first({ transition: "stop", job_status: "succeeded" })
      assert.isFalse(yield* isKnown)
      yield* first({ transition: "start", job_status: "succeeded" })
      yield* execute((sql) => sql`UPDATE workspace_builds SET build_number = 3 WHERE build_number = 2`)
      assert.isFalse(yield* isKnown)
    })
  )

  it.effect("knows a sub-agent and its parent, and no sub-agent that is deleted [CN-07]", () =>
    Effect.gen(function* () {
      const { id, token } = yield* People.agent()
      const [child, childToken] = [newId(AgentId), yield* Token.mint]
      const digest = yield* Token.digest(childToken)
      yield* execute(
        (sql) => sql`
          INSERT INTO workspace_agents (id, workspace_build_id, parent_id, name, auth_token_hash)
          SELECT ${child}, workspace_build_id, id, 'child', ${digest} FROM workspace_agents WHERE id = ${id}`
      )

      assert.deepInclude(Option.getOrThrow(yield* agentWith(childToken)).subject, {
        agentId: child,
        agentName: "child",
        parentId: id
      })

      yield* execute((sql) => sql`UPDATE workspace_agents SET deleted = true WHERE id = ${child}`)
      assert.isTrue(Option.isNone(yield* agentWith(childToken)))
      assert.isTrue(Option.isSome(yield* agentWith(token)))
    })
  )

  it.effect("knows no deleted agent", () =>
    Effect.gen(function* () {
      const { id, token } = yield* People.agent()

      yield* execute((sql) => sql`UPDATE workspace_agents SET deleted = true WHERE id = ${id}`)

      assert.isTrue(Option.isNone(yield* agentWith(token)))
      assert.isTrue(Option.isNone(yield* ownerOf(id)))
    })
  )

  it.effect("knows no agent of a deleted workspace", () =>
    Effect.gen(function* () {
      const { id, token, workspace } = yield* People.agent()

      yield* execute((sql) => sql`UPDATE workspaces SET deleted = true WHERE id = ${workspace.id}`)

      assert.isTrue(Option.isNone(yield* agentWith(token)))
      assert.isTrue(Option.isNone(yield* ownerOf(id)))
    })
  )

  it.effect("knows a user by each of their tokens, and whether they administer", () =>
    Effect.gen(function* () {
      const [person, admin] = [yield* People.user(), yield* People.user({ isAdmin: true })]
      const second = yield* Token.mint
      const { putToken } = yield* Directory
      yield* putToken({ username: person.username, name: "second", token: yield* Token.digest(second) })

      for (const token of [person.token, second]) {
        assert.deepStrictEqual(Option.getOrThrow(yield* userWith(token)), {
          subject: { id: person.id, username: person.username, isAdmin: false },
          digest: yield* Token.digest(token)
        })
      }
      assert.isTrue(Option.getOrThrow(yield* userWith(admin.token)).subject.isAdmin)
    })
  )

  it.effect("knows no deleted user", () =>
    Effect.gen(function* () {
      const person = yield* People.user()

      yield* execute((sql) => sql`UPDATE users SET deleted = true WHERE id = ${person.id}`)

      assert.isTrue(Option.isNone(yield* userWith(person.token)))
    })
  )
})

const throughProxy = stores.pipe(
  Layer.provideMerge(Layer.unwrap(PgProxy.PgProxy.useSync(({ url }) => PgClient.layer({ url })))),
  Layer.provideMerge(PgProxy.layer),
  Layer.provideMerge(Postgres.layerDatabase)
)

layer(throughProxy)("PgAccessStore behind a bad network", (it) => {
  it.effect("fails while the database is away, and finds the rows when it is back", () =>
    Effect.gen(function* () {
      const { down } = yield* PgProxy.PgProxy
      const { owner, token } = yield* People.agent()

      const error = yield* down(Effect.flip(agentWith(token)))

      assert.strictEqual(error._tag, "StoreError")
      assert.strictEqual(error.message, "cannot look up tokens")
      assert.isTrue(Option.isSome(yield* agentWith(token)))
      assert.isTrue(Option.isSome(yield* userWith(owner.token)))
    })
  )

  it.effect("fails after five seconds when the database does not respond", () =>
    Effect.gen(function* () {
      const { token } = yield* People.agent()

      const error = yield* Effect.gen(function* () {
        const asked = yield* Effect.forkScoped(Effect.flip(agentWith(token)), { startImmediately: true })
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(asked.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        return yield* Fiber.join(asked)
      }).pipe(whileLocked("workspace_agents"))

      assert.strictEqual(error._tag, "StoreError")
      assert.isTrue(Option.isSome(yield* agentWith(token)))
    })
  )
})
