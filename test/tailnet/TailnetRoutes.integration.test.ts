/** The tailnet of a running service, as clients of people reach it. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf"
import { NodeWS } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import * as Authority from "../../src/tailnet/Authority.ts"
import { Coordinator } from "../../src/tailnet/Coordinator.ts"
import { type Node, PeerId, toBytes } from "../../src/tailnet/Peer.ts"
import {
  type CoordinateRequestSchema,
  NodeSchema,
  RefreshResumeTokenRequestSchema,
  RefreshResumeTokenResponseSchema
} from "../../src/wire/generated/tailnet_pb.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import { connectTo, newPeerId } from "./support.ts"
import * as Wire from "../wire/support.ts"
import * as WireClient from "./wireClient.ts"

const coordinatePath = (agent: string, query = "version=2.0") => `/api/v2/workspaceagents/${agent}/coordinate?${query}`

/** A node as the message that clients read. */
const agentNode = (id: bigint): Node => {
  const bytes = toBinary(NodeSchema, create(NodeSchema, { id }))
  return { bytes, withoutTime: bytes, addresses: [], allowedIps: [] }
}

/** An agent of a user, with its stream of the service's coordinator. */
const agentOf = Effect.gen(function* () {
  const { id, owner } = yield* People.agent()
  const peer = yield* connectTo(yield* Coordinator, "agent", {
    id: PeerId.make(id),
    authority: Authority.agent(id)
  })
  yield* peer.send({ updateSelf: agentNode(1n) })
  return { id, peer, headers: People.showing(owner.token) }
})

const dial = Effect.fnUntraced(function* (path: string, headers: Readonly<Record<string, string>>) {
  const { url } = yield* Service.TestService
  return yield* WireClient.connect(`${url}${path}`, headers)
})

const node = { id: 7n, preferredDerp: 1, addresses: ["fd7a:115c:a1e0::1/128"] }

layer(Service.layer, { excludeTestServices: true })("clients of the tailnet", (it) => {
  for (const [name, path] of [
    ["one agent", coordinatePath],
    ["all agents of a user", () => "/api/v2/tailnet"]
  ] as const) {
    it.effect(`coordinate with ${name} over a WebSocket, and are lost when it ends [TU-13]`, () =>
      Effect.gen(function* () {
        const agent = yield* agentOf
        const client = yield* dial(path(agent.id), agent.headers)

        yield* client.coordinate({ updateSelf: { node }, addTunnel: { id: toBytes(agent.peer.id) } })
        assert.match(yield* agent.peer.next, /^node .* \(new\)$/)
        yield* agent.peer.send({ updateSelf: agentNode(2n) })
        const updates = []
        while (updates.at(-1)?.reason !== "update") updates.push(...(yield* client.next).peerUpdates)
        assert.deepStrictEqual(
          updates.map(({ kind, reason }) => [kind, reason]),
          [
            [1, "new"],
            [1, "update"]
          ]
        )

        yield* client.close
        assert.match(yield* agent.peer.next, /^lost .* \(lost\)$/)
        assert.strictEqual((yield* client.closed).code, 1000)
      })
    )

    it.effect(`open no tunnels to agents of others with ${name} [TU-14]`, () =>
      Effect.gen(function* () {
        const [agent, other] = [yield* agentOf, yield* agentOf]
        const client = yield* dial(path(agent.id), agent.headers)

        yield* client.coordinate({ updateSelf: { node }, addTunnel: { id: toBytes(other.peer.id) } })

        assert.match((yield* client.next).error, /^authorization: /)
        assert.deepStrictEqual(yield* other.peer.received, [])
      })
    )
  }

  it.effect("end a call with the text of the original for a bad request, and no connection [TC-47]", () =>
    Effect.gen(function* () {
      const agent = yield* agentOf
      const other = yield* agentOf
      const agentId = toBytes(agent.peer.id)
      const bystander = yield* dial(coordinatePath(agent.id), agent.headers)
      yield* bystander.coordinate({ updateSelf: { node }, addTunnel: { id: agentId } })
      yield* bystander.next
      yield* agent.peer.next
      const refresh = toBinary(RefreshResumeTokenRequestSchema, create(RefreshResumeTokenRequestSchema))

      for (const [request, expected] of [
        [{ addTunnel: { id: agentId.subarray(1) } }, "unable to convert bytes to UUID: invalid UUID (got 15 bytes)"],
        [{ removeTunnel: {} }, "unable to convert bytes to UUID: invalid UUID (got 0 bytes)"],
        [{ updateSelf: {} }, "update_self must have a node"],
        [{ updateSelf: { node: { disco: "x".repeat(65_536) } } }, "a node may have 65536 bytes at most"],
        [
          { updateSelf: { node: { addresses: ["fd7a:115c:a1e0::/48"] } } },
          "authorization: invalid address bits, expected 128, got 48"
        ],
        [
          { addTunnel: { id: toBytes(other.peer.id) } },
          `authorization: invalid agent id, expected ${agent.id}, got ${other.id}`
        ],
        [{ readyForHandshake: [{ id: agentId }] }, "authorization: clients may not send ready_for_handshake"]
      ] satisfies ReadonlyArray<[MessageInitShape<typeof CoordinateRequestSchema>, string]>) {
        const client = yield* dial(coordinatePath(agent.id), agent.headers)
        yield* client.coordinate({ updateSelf: { node }, addTunnel: { id: agentId } })
        const [, id] = /^node (\S+)/.exec(yield* agent.peer.next)!
        yield* client.next

        yield* client.coordinate(request)

        assert.strictEqual((yield* client.next).error, expected)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(client.next)), expected)
        assert.strictEqual(yield* agent.peer.next, `lost ${id} (lost)`)
        yield* client.unary("/coder.tailnet.v2.Tailnet/RefreshResumeToken", refresh)
      }
      yield* agent.peer.send({ updateSelf: agentNode(3n) })
      assert.strictEqual((yield* bystander.next).peerUpdates[0]?.node?.id, 3n)
    })
  )

  it.effect("are rejected before the upgrade: no token, no right, another version, no WebSocket [TU-15]", () =>
    Effect.gen(function* () {
      const { headers, id } = yield* agentOf
      const foreign = yield* agentOf
      const http = yield* HttpClient.HttpClient
      const refusal = (path: string, headers: Readonly<Record<string, string>>) =>
        Effect.map(Effect.flip(dial(path, headers)), ({ body, status }) => [status, JSON.parse(body)] as const)

      for (const path of [coordinatePath(id), "/api/v2/tailnet"]) {
        assert.strictEqual((yield* refusal(path, {}))[0], 401)
        const plain = yield* http.execute(HttpClientRequest.get(path, { headers }))
        assert.strictEqual(plain.status, 426)
      }
      assert.strictEqual((yield* refusal(coordinatePath(foreign.id), headers))[0], 404)
      assert.strictEqual((yield* refusal(coordinatePath(newPeerId()), headers))[0], 404)
      for (const path of [
        coordinatePath(id, ""),
        coordinatePath(id, "version=1.0"),
        coordinatePath(id, "version=2.99"),
        coordinatePath(id, "version=2"),
        "/api/v2/tailnet?version=3.0"
      ]) {
        const [status, body] = yield* refusal(path, headers)
        assert.strictEqual(status, 400)
        assert.strictEqual(body.validations[0].field, "version")
      }
    })
  )

  it.effect("are read no faster than 128 frames for each of 200 calls a second [WI-53]", () =>
    Effect.gen(function* () {
      const { headers, id } = yield* agentOf
      const client = yield* dial(coordinatePath(id), headers)
      const request = toBinary(RefreshResumeTokenRequestSchema, create(RefreshResumeTokenRequestSchema))
      const ping = Wire.frame(Wire.Type.ping, Wire.Flag.syn, 0, 1)

      const call = client.unary("/coder.tailnet.v2.Tailnet/RefreshResumeToken", request)
      // those of 400 calls: one second more than may come at once, beside what the same read has
      const pings = client.send(Buffer.concat(Array.from({ length: 400 * 128 }, () => ping)))
      const [elapsed] = yield* Effect.timed(Effect.all([pings, call, call]))

      assert.isAtLeast(Duration.toMillis(elapsed), 900)
    })
  )

  it.effect("come back as the same peer by a resume token, and are rejected with a bad one [TU-16]", () =>
    Effect.gen(function* () {
      const agent = yield* agentOf
      const client = yield* dial(coordinatePath(agent.id), agent.headers)
      const request = toBinary(RefreshResumeTokenRequestSchema, create(RefreshResumeTokenRequestSchema))
      const response = yield* client.unary("/coder.tailnet.v2.Tailnet/RefreshResumeToken", request)
      const { token } = fromBinary(RefreshResumeTokenResponseSchema, response)
      yield* client.coordinate({ updateSelf: { node }, addTunnel: { id: toBytes(agent.peer.id) } })
      const [, id] = /^node (\S+)/.exec(yield* agent.peer.next)!
      yield* client.close
      assert.strictEqual(yield* agent.peer.next, `lost ${id} (lost)`)

      const again = yield* dial(coordinatePath(agent.id, `version=2.0&resume_token=${token}`), agent.headers)
      yield* again.coordinate({ updateSelf: { node }, addTunnel: { id: toBytes(agent.peer.id) } })
      assert.match(yield* agent.peer.next, new RegExp(`^node ${id} .*\\(found\\)$`))

      const { body, status } = yield* Effect.flip(
        dial(coordinatePath(agent.id, `version=2.0&resume_token=${token.slice(0, -5)}AAAAA`), agent.headers)
      )
      assert.strictEqual(status, 401)
      const problem = JSON.parse(body)
      assert.strictEqual(problem.message, "Invalid resume token")
      assert.strictEqual(problem.validations[0].field, "resume_token")
    })
  )

  it.effect("read what a connection takes, for an agent that they may reach or in general [TU-17]", () =>
    Effect.gen(function* () {
      const { headers, id } = yield* agentOf
      const foreign = yield* agentOf
      const http = yield* HttpClient.HttpClient
      const get = (path: string, headers: Readonly<Record<string, string>> = {}) =>
        http.execute(HttpClientRequest.get(`/api/v2/workspaceagents/${path}`, { headers }))

      for (const path of [`${id}/connection`, "connection"]) {
        const response = yield* get(path, headers)
        assert.deepStrictEqual(yield* response.json, {
          derp_map: { Regions: {} },
          derp_force_websockets: false,
          disable_direct_connections: false
        })
        assert.strictEqual((yield* get(path)).status, 401)
      }
      assert.strictEqual((yield* get(`${foreign.id}/connection`, headers)).status, 404)
    })
  )

  it.effect("follow the DERP map without a token, as JSON in binary messages [TU-18]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService

      const message = yield* Effect.callback<readonly [string, boolean]>((resume) => {
        const socket = new NodeWS.WebSocket(`${url.replace(/^http/, "ws")}/api/v2/derp-map`)
        socket.on("message", (data, isBinary) => resume(Effect.succeed([String(data), isBinary])))
        return Effect.sync(() => socket.terminate())
      })

      assert.deepStrictEqual(message, ['{"Regions":{}}', true])
    })
  )

  it.effect("find an agent that speaks the original's protocol over its own connection [TU-20]", () =>
    Effect.gen(function* () {
      const { id, owner, token, workspace } = yield* People.agent()
      const agentId = toBytes(PeerId.make(id))
      const agent = yield* dial("/api/v2/workspaceagents/me/rpc?version=2.0", People.showing(token))
      const client = yield* dial("/api/v2/tailnet", People.showing(owner.token))
      yield* agent.coordinate({ updateSelf: { node: { id: 1n } } })
      yield* client.coordinate({ updateSelf: { node }, addTunnel: { id: agentId } })

      const [added] = (yield* agent.next).peerUpdates
      assert.deepStrictEqual([added?.kind, added?.node?.id], [1, 7n])
      const view = yield* Coordinator.use(({ peer }) => peer(PeerId.make(id)))
      assert.strictEqual(view?.name, `${owner.username}-${workspace.name}-main`)
      assert.deepStrictEqual((yield* client.next).peerUpdates[0]?.node?.id, 1n)

      yield* agent.coordinate({ readyForHandshake: [{ id: added!.id }] })
      assert.deepInclude((yield* client.next).peerUpdates[0], { id: agentId, kind: 4 })
      yield* client.coordinate({ disconnect: {} })
      assert.deepInclude((yield* agent.next).peerUpdates[0], { kind: 2 })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(client.next)))

      yield* agent.coordinate({ addTunnel: { id: agentId } })
      assert.strictEqual((yield* agent.next).error, "authorization: agents cannot open tunnels")
    })
  )

  it.effect("are closed with 1002 when they break the protocol, and nobody else is [WI-76]", () =>
    Effect.gen(function* () {
      const agent = yield* agentOf
      const broken = yield* dial("/api/v2/tailnet", agent.headers)
      const other = yield* dial(coordinatePath(agent.id), agent.headers)

      yield* broken.send(Wire.bytes("ff0000000000000000000000"))

      assert.deepStrictEqual(yield* broken.closed, { code: 1002, reason: "unknown version" })
      yield* other.coordinate({ updateSelf: { node }, addTunnel: { id: toBytes(agent.peer.id) } })
      assert.match(yield* agent.peer.next, /^node .* \(new\)$/)
    })
  )

  it.effect("are closed with 1008 when an agent that they have a tunnel to is no longer theirs [TU-21]", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      for (const path of [coordinatePath, () => "/api/v2/tailnet"]) {
        const agent = yield* agentOf
        const client = yield* dial(path(agent.id), agent.headers)
        yield* client.coordinate({ updateSelf: { node }, addTunnel: { id: toBytes(agent.peer.id) } })
        yield* agent.peer.next

        yield* sql`
          UPDATE workspace_agents SET deleted = true WHERE id = ${agent.id}`

        assert.strictEqual((yield* client.closed).code, 1008)
        assert.match(yield* agent.peer.next, /^lost /)
      }
    })
  )
})
