/** Rights end while streams that were opened with them are open, on two replicas. */
import { describe } from "@effect/vitest"
import { Clock, Effect, Fiber, type Scope } from "effect"
import type { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql"
import * as Token from "../../src/access/Token.ts"
import * as Agent from "../support/agent.ts"
import * as Client from "../support/client.ts"
import * as WebSocket from "../support/webSocket.ts"
import * as Database from "./Database.ts"
import * as Replica from "./Replica.ts"
import { expect, scenario } from "./scenario.ts"

const adminOf = (url: string) => Client.admin(url, Replica.adminToken)

/** A user with a workspace and an agent, and the tokens of user and agent. */
const tenant = Effect.fnUntraced(function* (url: string, username: string) {
  const api = yield* adminOf(url)
  yield* api.users.create({ payload: { username, is_admin: false } })
  const { token } = yield* api.users.createToken({ params: { username }, payload: { name: "laptop" } })
  const workspace = yield* api.workspaces.create({ payload: { name: "dev", owner: username } })
  const metadata = [{ key: "load", script: "", interval: 10, timeout: 10, display_order: 0 }]
  const [agent] = yield* api.agents.create({
    params: { workspace: workspace.id },
    payload: { agents: [{ name: "main", metadata }] }
  })
  return { username, token, workspace: workspace.id, agent: agent! }
})

type Tenant = Effect.Success<ReturnType<typeof tenant>>

interface Open {
  readonly name: string
  /** Waits for the end of the stream. */
  readonly ended: Effect.Effect<unknown>
}

/** The streams that a user opens over a replica. */
const readers = Effect.fnUntraced(function* (url: string, token: string, agentId: string) {
  const headers = { [Token.header]: token }
  const path = `${url}/api/v2/workspaceagents/${agentId}`
  const stream = Effect.fnUntraced(function* (name: string, address: string) {
    const response = yield* Effect.promise((signal) => fetch(address, { headers, signal }))
    if (response.status !== 200) return yield* Effect.die(new Error(`${name}: ${response.status}`))
    const drained = yield* Effect.forkScoped(
      Effect.ignore(
        Effect.tryPromise(async () => {
          for await (const _ of response.body!);
        })
      )
    )
    return { name, ended: Fiber.await(drained) } satisfies Open
  })
  const socket = yield* WebSocket.connect(`${path}/watch-metadata-ws`, headers)
  return [
    yield* stream("a watch by SSE", `${path}/watch-metadata`),
    { name: "a watch by WebSocket", ended: socket.closed },
    yield* stream("followed logs", `${path}/logs?follow`)
  ] satisfies ReadonlyArray<Open>
})

/** The connection of an agent to a replica. */
const reporter = Effect.fnUntraced(function* (url: string, token: string) {
  const connection = yield* Agent.connect(url, { [Token.header]: token })
  return [{ name: "the connection of an agent", ended: connection.closed }] satisfies ReadonlyArray<Open>
})

interface Case {
  readonly name: string
  /** Opens the streams over a replica. */
  readonly open: (url: string) => Effect.Effect<ReadonlyArray<Open>, unknown, Scope.Scope>
  readonly revoke: Effect.Effect<unknown, unknown, Reactivity.Reactivity>
}

/** Seconds in which streams have to end: triggers announce every change, also one by a statement. */
const within = 5

const revoked = Effect.gen(function* () {
  const database = yield* Database.make()
  const first = yield* Replica.start({ DATABASE_URL: database.url })
  const second = yield* Replica.start({ DATABASE_URL: database.url })
  const urls = [first.url, second.url]
  const api = yield* adminOf(first.url)

  const names = ["replaced", "gone", "donor", "rotated", "ended", "parent", "closed", "bystander"]
  const tenants = yield* Effect.forEach(names, (name) => tenant(first.url, name))
  const [replaced, gone, donor, rotated, ended, parent, closed, bystander] = tenants as unknown as readonly [
    Tenant,
    Tenant,
    Tenant,
    Tenant,
    Tenant,
    Tenant,
    Tenant,
    Tenant
  ]
  const statement = (run: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) => database.using(run)
  const byUser =
    ({ agent, token }: Tenant) =>
    (url: string) =>
      readers(url, token, agent.id)
  const byAgent =
    ({ agent }: Tenant) =>
    (url: string) =>
      reporter(url, agent.token)
  const byBoth = (tenant: Tenant) => (url: string) =>
    Effect.map(Effect.all([byUser(tenant)(url), byAgent(tenant)(url)]), (opened) => opened.flat())

  const client = yield* Agent.client(first.url, { [Token.header]: parent.agent.token })
  const child = yield* Agent.createChild(client)

  const cases: ReadonlyArray<Case> = [
    {
      name: "a user's token is replaced",
      open: byUser(replaced),
      revoke: api.users.createToken({ params: { username: replaced.username }, payload: { name: "laptop" } })
    },
    {
      name: "a user is deleted",
      open: byUser(gone),
      revoke: statement((sql) => sql`UPDATE users SET deleted = true WHERE username = ${gone.username}`)
    },
    {
      name: "a workspace is given away",
      open: byUser(donor),
      revoke: statement(
        (sql) => sql`
          UPDATE workspaces SET name = 'given', owner_id = (SELECT id FROM users WHERE username = ${bystander.username})
          WHERE id = ${donor.workspace}`
      )
    },
    {
      name: "an agent's token is rotated",
      open: byAgent(rotated),
      revoke: api.agents.rotateToken({ params: { agent: rotated.agent.id } })
    },
    {
      name: "an agent is deleted",
      open: byBoth(ended),
      revoke: statement((sql) => sql`UPDATE workspace_agents SET deleted = true WHERE id = ${ended.agent.id}`)
    },
    {
      name: "a sub-agent is deleted by its parent",
      open: (url) =>
        Effect.map(Effect.all([readers(url, parent.token, child.id), reporter(url, child.auth_token)]), (opened) =>
          opened.flat()
        ),
      revoke: client.DeleteSubAgent({ id: child.id })
    },
    {
      name: "a workspace is deleted",
      open: byBoth(closed),
      revoke: statement((sql) => sql`UPDATE workspaces SET deleted = true WHERE id = ${closed.workspace}`)
    }
  ]

  const check = Effect.fnUntraced(function* ({ name, open, revoke }: Case) {
    const opened = (yield* Effect.forEach(urls, open)).flat()
    const start = yield* Clock.currentTimeMillis
    yield* revoke
    const problems = yield* Effect.forEach(
      opened,
      (stream, index) =>
        Effect.timeoutOrElse(Effect.as(stream.ended, []), {
          duration: `${within} seconds`,
          orElse: () =>
            Effect.succeed([
              `${name}: ${stream.name} on replica ${1 + Math.floor((index * 2) / opened.length)} is open`
            ])
        }),
      { concurrency: "unbounded" }
    )
    return { problems: problems.flat(), streams: opened.length, elapsed: (yield* Clock.currentTimeMillis) - start }
  })

  const others: ReadonlyArray<Open> = (yield* Effect.forEach(urls, byBoth(bystander))).flat()
  const lost: Array<string> = []
  for (const { ended, name } of others) {
    yield* Effect.forkScoped(
      Effect.andThen(
        ended,
        Effect.sync(() => lost.push(name))
      )
    )
  }
  const results = yield* Effect.forEach(cases, check, { concurrency: "unbounded" })
  const streams = results.reduce((sum, result) => sum + result.streams, 0)
  const left = results.flatMap(({ problems }) => problems)
  return {
    accepted: streams,
    present: streams - left.length,
    lost: left.length,
    counted: 0,
    problems: [...left, ...expect(lost.length === 0, `of a bystander ended: ${lost.join(", ")}`)]
  }
})

describe("rights that end", () => {
  scenario("24 · Tokens, users, agents and workspaces go while streams are open on two replicas", revoked)
})
