/** Open streams on two replicas when a right ends. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Queue } from "effect"
import type { Digest, SecureRandom } from "effect/crypto"
import { SqlClient } from "effect/sql"
import * as Token from "../../src/access/Token.ts"
import { Directory } from "../../src/admin/Directory.ts"
import * as Server from "../../src/Server.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as Watcher from "../support/watcher.ts"
import * as WebSocket from "../support/webSocket.ts"

const execute = (statement: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
  Effect.orDie(SqlClient.SqlClient.use(statement))

/** The addresses of two replicas. */
const replicas = Effect.gen(function* () {
  const other = yield* Layer.build(Layer.fresh(Service.layerOver(Server.layerStorage)))
  return [(yield* Service.TestService).url, Context.get(other, Service.TestService).url]
})

type Person = Effect.Success<ReturnType<typeof People.agent>>

/** Waits until a stream of events has begun and ended. */
const streamed = Effect.fnUntraced(function* (url: string, path: string, token: Token.Token) {
  const controller = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort())
  )
  const response = yield* Effect.promise(() =>
    fetch(`${url}${path}`, { headers: People.showing(token), signal: controller.signal })
  )
  assert.strictEqual(response.status, 200)
  const reader = response.body!.getReader()
  yield* Effect.promise(() => reader.read())
  return Effect.promise(async () => {
    while (!(await reader.read()).done);
  })
})

layer(Service.layer, { excludeTestServices: true })("a right that is gone", (it) => {
  const ofAgents: Readonly<
    Record<
      string,
      (
        person: Person
      ) => Effect.Effect<unknown, unknown, Directory | SqlClient.SqlClient | Digest.Digest | SecureRandom.SecureRandom>
    >
  > = {
    "another token": ({ id }) =>
      Effect.flatMap(Effect.flatMap(Token.mint, Token.digest), (digest) =>
        Directory.use((directory) => directory.rotateToken(id, digest))
      ),
    "the deletion of the agent": ({ id }) =>
      execute((sql) => sql`UPDATE workspace_agents SET deleted = true WHERE id = ${id}`),
    "the deletion of its workspace": ({ workspace }) =>
      execute((sql) => sql`UPDATE workspaces SET deleted = true WHERE id = ${workspace.id}`)
  }

  for (const [name, revoke] of Object.entries(ofAgents)) {
    it.effect(`closes the connections of an agent with 1008, in any role: ${name} [FT-05]`, () =>
      Effect.gen(function* () {
        const person = yield* People.agent("cpu")
        const bystander = yield* People.agent("cpu")
        const connections = yield* Effect.forEach(yield* replicas, (url) =>
          Effect.all([
            Agent.connect(url, People.showing(person.token)),
            Agent.connect(url, People.showing(person.token), { search: "?role=logstream" })
          ])
        )
        const kept = yield* Agent.connect((yield* Service.TestService).url, People.showing(bystander.token))

        yield* revoke(person)

        for (const connection of connections.flat()) assert.strictEqual((yield* connection.closed).code, 1_008)
        assert.deepStrictEqual(yield* Agent.exchange(kept, Agent.report("1")), Agent.accepted("1"))
      })
    )
  }

  const ofUsers: Readonly<
    Record<
      string,
      (
        person: Person
      ) => Effect.Effect<unknown, unknown, Directory | SqlClient.SqlClient | Digest.Digest | SecureRandom.SecureRandom>
    >
  > = {
    "another token": ({ owner }) =>
      execute(
        (sql) => sql`UPDATE api_tokens SET hash = sha256(uuid_send(gen_random_uuid())) WHERE user_id = ${owner.id}`
      ),
    "no token": ({ owner }) => execute((sql) => sql`DELETE FROM api_tokens WHERE user_id = ${owner.id}`),
    "the deletion of the user": ({ owner }) =>
      execute((sql) => sql`UPDATE users SET deleted = true WHERE id = ${owner.id}`)
  }

  for (const [name, revoke] of Object.entries(ofUsers)) {
    it.effect(`ends every watch of a user, and the overview: ${name} [FT-05]`, () =>
      Effect.gen(function* () {
        const person = yield* People.agent("cpu")
        const open = yield* Effect.forEach(yield* replicas, (url) =>
          Effect.all({
            socket: WebSocket.connect(
              `${url}${Watcher.pathOf(person.id, "watch-metadata-ws")}`,
              People.showing(person.owner.token)
            ),
            metadata: streamed(url, Watcher.pathOf(person.id, "watch-metadata"), person.owner.token),
            overview: streamed(url, "/api/v2/dashboard/watch-overview", person.owner.token),
            logs: streamed(url, Watcher.pathOf(person.id, "logs?follow=true"), person.owner.token)
          })
        )
        for (const { socket } of open) yield* Queue.take(socket.messages)

        yield* revoke(person)

        for (const { logs, metadata, overview, socket } of open) {
          assert.strictEqual((yield* socket.closed).code, 1_008)
          yield* metadata
          yield* overview
          yield* logs
        }
      })
    )
  }

  it.effect("ends the watches of a workspace that is given away, and leaves the overview [FT-05]", () =>
    Effect.gen(function* () {
      const person = yield* People.agent("cpu")
      const next = yield* People.user()
      const open = yield* Effect.forEach(yield* replicas, (url) =>
        Effect.all({
          socket: WebSocket.connect(
            `${url}${Watcher.pathOf(person.id, "watch-metadata-ws")}`,
            People.showing(person.owner.token)
          ),
          metadata: streamed(url, Watcher.pathOf(person.id, "watch-metadata"), person.owner.token)
        })
      )
      for (const { socket } of open) yield* Queue.take(socket.messages)
      const { url } = yield* Service.TestService
      const overview = yield* Effect.forkScoped(
        yield* streamed(url, "/api/v2/dashboard/watch-overview", person.owner.token)
      )

      yield* execute((sql) => sql`UPDATE workspaces SET owner_id = ${next.id} WHERE id = ${person.workspace.id}`)

      for (const { metadata, socket } of open) {
        assert.strictEqual((yield* socket.closed).code, 1_008)
        yield* metadata
      }
      assert.isUndefined(overview.pollUnsafe())
    })
  )
})
