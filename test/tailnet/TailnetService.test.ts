/** The calls of the tailnet, made as a client makes them: by name, with encoded messages. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Queue, Result, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { AgentId, UserId, WorkspaceId } from "../../src/domain/Ids.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import * as WorkspaceEvent from "../../src/domain/WorkspaceEvent.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as Authority from "../../src/tailnet/Authority.ts"
import * as Coordinator from "../../src/tailnet/Coordinator.ts"
import * as DerpMaps from "../../src/tailnet/DerpMaps.ts"
import * as NetworkTelemetry from "../../src/tailnet/NetworkTelemetry.ts"
import { type PeerId, toBytes } from "../../src/tailnet/Peer.ts"
import * as ResumeTokens from "../../src/tailnet/ResumeTokens.ts"
import * as TailnetService from "../../src/tailnet/TailnetService.ts"
import { WorkspaceUpdates } from "../../src/tailnet/WorkspaceUpdates.ts"
import type { DrpcError } from "../../src/wire/DrpcMultiplexer.ts"
import * as Pb from "../../src/wire/generated/tailnet_pb.ts"
import * as Seed from "../support/seed.ts"
import type { WorkspaceStatus } from "../../src/tailnet/WorkspaceTreeStore.ts"
import { layerServices, workspaces } from "./services.ts"
import { newPeerId } from "./support.ts"

const { method } = Pb.Tailnet

/** A call in progress. */
const call = Effect.fnUntraced(function* <I extends DescMessage, O extends DescMessage>(
  { input, name, output }: { readonly input: I; readonly output: O; readonly name: string },
  caller: TailnetService.Caller
) {
  const entries = (yield* TailnetService.make)(() => caller)
  const { handler } = entries.find((entry) => entry.name === `/coder.tailnet.v2.Tailnet/${name}`)!
  assert.strictEqual(handler._tag, "Streaming")
  if (handler._tag !== "Streaming") throw new Error("a call of streams")
  const [requests, responses] = [
    yield* Queue.unbounded<Option.Option<Uint8Array>>(),
    yield* Queue.unbounded<Uint8Array>()
  ]
  const fiber = yield* Effect.forkScoped(
    handler.handle({ receive: Queue.take(requests), send: (bytes) => Queue.offer(responses, bytes) }, undefined),
    { startImmediately: true }
  )
  return {
    send: (message: MessageInitShape<I>) => Queue.offer(requests, Option.some(toBinary(input, create(input, message)))),
    sendBytes: (bytes: Uint8Array) => Queue.offer(requests, Option.some(bytes)),
    closeSend: Queue.offer(requests, Option.none()),
    next: Effect.map(Queue.take(responses), (bytes) => fromBinary(output, bytes)),
    received: Effect.map(Queue.clear(responses), (all) => all.map((bytes) => fromBinary(output, bytes))),
    exit: Fiber.await(fiber),
    cancel: Fiber.interrupt(fiber)
  }
})

const unary = Effect.fnUntraced(function* <I extends DescMessage, O extends DescMessage>(
  { input, name, output }: { readonly input: I; readonly output: O; readonly name: string },
  caller: TailnetService.Caller,
  message: MessageInitShape<I>
) {
  const entries = (yield* TailnetService.make)(() => caller)
  const { handler } = entries.find((entry) => entry.name === `/coder.tailnet.v2.Tailnet/${name}`)!
  if (handler._tag !== "Unary") throw new Error("a unary call")
  return fromBinary(output, yield* handler.handle(toBinary(input, create(input, message)), undefined))
})

const agentCaller = (id: PeerId): TailnetService.Caller => ({
  peer: { id, name: "agent", authority: Authority.agent(AgentId.make(id)) }
})

const user = { id: Seed.newId(UserId), username: "ada", isAdmin: false }

const clientCaller = (id: PeerId, agentId: PeerId): TailnetService.Caller => ({
  peer: { id, name: "client", authority: Authority.clientOf(AgentId.make(agentId)) },
  user
})

const node = { id: 1n, preferredDerp: 1, disco: "discokey:00" }

describe("the calls of the tailnet", () => {
  it.effect("coordinate an agent and a client, up to the end of both [TN-04]", () =>
    Effect.gen(function* () {
      const [agentId, clientId] = [newPeerId(), newPeerId()]
      const agent = yield* call(method.coordinate, agentCaller(agentId))
      const client = yield* call(method.coordinate, clientCaller(clientId, agentId))

      yield* client.send({ updateSelf: { node }, addTunnel: { id: toBytes(agentId) } })
      const [added] = (yield* agent.next).peerUpdates
      assert.deepInclude(added, { id: toBytes(clientId), kind: 1, reason: "add tunnel" })
      assert.strictEqual(added!.node?.disco, "discokey:00")
      yield* agent.send({ readyForHandshake: [{ id: toBytes(clientId) }] })
      assert.deepInclude((yield* client.next).peerUpdates[0], { id: toBytes(agentId), kind: 4 })

      yield* client.send({ disconnect: {} })
      assert.deepInclude((yield* agent.next).peerUpdates[0], { kind: 2, reason: "graceful disconnect" })
      assert.isTrue(Exit.isSuccess(yield* client.exit))

      const second = yield* call(method.coordinate, clientCaller(newPeerId(), agentId))
      yield* second.send({ updateSelf: { node }, addTunnel: { id: toBytes(agentId) } })
      yield* agent.next
      yield* second.cancel
      assert.deepInclude((yield* agent.next).peerUpdates[0], { kind: 3, reason: "lost" })
      yield* agent.closeSend
      assert.isTrue(Exit.isSuccess(yield* agent.exit))
      assert.isUndefined(yield* (yield* Coordinator.Coordinator).peer(agentId))
    }).pipe(Effect.provide(layerServices))
  )

  it.effect("end coordination with an error text after a malformed or foreign request [TC-42]", () =>
    Effect.gen(function* () {
      const agentId = newPeerId()
      for (const [request, error] of [
        [{ updateSelf: {} }, "update_self must have a node"],
        [{ addTunnel: { id: toBytes(newPeerId()) } }, "authorization: agents cannot open tunnels"],
        [{ updateSelf: { node: { addresses: ["::1/128"] } } }, "authorization: invalid node address, got ::1"]
      ] satisfies ReadonlyArray<[MessageInitShape<typeof Pb.CoordinateRequestSchema>, string]>) {
        const agent = yield* call(method.coordinate, agentCaller(agentId))
        yield* agent.send(request)
        assert.strictEqual((yield* agent.next).error, error)
        assert.isTrue(Exit.isSuccess(yield* agent.exit))
      }
      const agent = yield* call(method.coordinate, agentCaller(agentId))
      yield* agent.sendBytes(Uint8Array.of(0xff))
      assert.strictEqual((yield* agent.next).error, "the message is no CoordinateRequest")
    }).pipe(Effect.provide(layerServices))
  )

  it.effect("reject coordination to a connection without the id of a stream [TN-02]", () =>
    Effect.gen(function* () {
      const { exit } = yield* call(method.coordinate, {})

      assert.deepStrictEqual(
        (yield* Effect.result(Effect.flatten(exit))).pipe(Result.mapError(({ message }) => message)),
        Result.fail("coordination needs the id of a stream")
      )
    }).pipe(Effect.provide(layerServices))
  )

  it.effect("send the DERP map at once, and each later one that differs [TN-01]", () =>
    Effect.gen(function* () {
      let code = "here"
      const setting = Effect.sync(() => ({ Regions: { "1": { RegionID: 1, RegionCode: code, Nodes: null } } }))
      const maps = yield* Effect.provide(
        DerpMaps.make({ source: { setting } }),
        Layer.merge(NodeFileSystem.layer, FetchHttpClient.layer)
      )
      const { received, send } = yield* call(method.streamDERPMaps, agentCaller(newPeerId())).pipe(
        Effect.provideService(DerpMaps.DerpMaps, maps)
      )
      const codes = Effect.map(received, (sent) =>
        sent.map(({ homeParams, regions }) => [homeParams !== undefined, regions["1"]?.regionCode])
      )

      yield* send({})
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* codes, [[true, "here"]])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* codes, [])
      code = "there"
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* codes, [[true, "there"]])
    }).pipe(Effect.provide(layerServices))
  )

  it.effect("hand telemetry on after a minute or 1 000 events, where someone wants it [TN-03]", () =>
    Effect.gen(function* () {
      const batches = yield* Queue.unbounded<number>()
      const telemetry = yield* NetworkTelemetry.make().pipe(
        Effect.provideService(NetworkTelemetry.TelemetryHandler, {
          handle: (events) => Queue.offer(batches, events.length)
        })
      )
      const post = (count: number) =>
        unary(method.postTelemetry, agentCaller(newPeerId()), {
          events: Array.from({ length: count }, () => ({ application: "ssh" }))
        }).pipe(Effect.provideService(NetworkTelemetry.NetworkTelemetry, telemetry))

      yield* post(3)
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(yield* Queue.clear(batches), [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Queue.clear(batches), [3])
      yield* post(1_000)
      assert.strictEqual(yield* Queue.take(batches), 1_000)
      // nobody wants it
      yield* unary(method.postTelemetry, agentCaller(newPeerId()), { events: [{}] })
    }).pipe(Effect.provide(layerServices))
  )

  it.effect("give clients resume tokens, and tell agents that there are none [TU-07]", () =>
    Effect.gen(function* () {
      const id = newPeerId()

      const { expiresAt, refreshIn, token } = yield* unary(method.refreshResumeToken, clientCaller(id, newPeerId()), {})

      assert.strictEqual(refreshIn?.seconds, 43_200n)
      assert.strictEqual(expiresAt?.seconds, 86_400n)
      const tokens = yield* ResumeTokens.ResumeTokens
      assert.deepStrictEqual(yield* tokens.verify(token), Option.some(id))
      const refused = yield* Effect.flip(unary(method.refreshResumeToken, agentCaller(id), {}))
      assert.strictEqual((refused as { code?: number }).code, 12)
    }).pipe(Effect.provide(layerServices))
  )

  it.effect("follow the workspaces of a user: all at first, then the differences [TU-08]", () =>
    Effect.gen(function* () {
      const pubsub = yield* PubSub.PubSub
      const workspaceId = Seed.newId(WorkspaceId)
      const agentId = Seed.newId(AgentId)
      workspaces.trees = [{ id: workspaceId, name: "dev", status: "starting", agents: [] }]
      const caller = clientCaller(newPeerId(), newPeerId())
      const { next, send } = yield* call(method.workspaceUpdates, caller)
      yield* send({ workspaceOwnerId: toBytes(user.id as never) })

      const first = yield* next
      assert.deepStrictEqual(
        first.upsertedWorkspaces.map(({ id, name, status }) => ({ id, name, status })),
        [{ id: toBytes(workspaceId as never), name: "dev", status: 2 }]
      )
      const publish = pubsub.publish(WorkspaceEvent.channel(user.id), "an event")
      yield* publish
      workspaces.trees = [{ id: workspaceId, name: "dev", status: "running", agents: [{ id: agentId, name: "main" }] }]
      yield* publish
      const second = yield* next
      assert.deepStrictEqual([second.upsertedWorkspaces[0]?.status, second.upsertedAgents[0]?.name], [3, "main"])
      workspaces.trees = []
      yield* publish
      const third = yield* next
      assert.deepStrictEqual([third.deletedWorkspaces.length, third.deletedAgents.length], [1, 1])

      const foreign = yield* call(method.workspaceUpdates, caller)
      yield* foreign.send({ workspaceOwnerId: toBytes(newPeerId()) })
      assert.isTrue(Exit.isFailure(yield* foreign.exit))
      const malformed = yield* call(method.workspaceUpdates, caller)
      yield* malformed.send({ workspaceOwnerId: new Uint8Array(15) })
      assert.isTrue(Exit.isFailure(yield* malformed.exit))
    }).pipe(Effect.provide(layerServices))
  )
})

describe("the workspaces of a user", () => {
  it.effect("have each status that desktop clients show, and their agents the workspace that they are of [TU-08]", () =>
    Effect.gen(function* () {
      const statuses: ReadonlyArray<WorkspaceStatus> = [
        "unknown",
        "pending",
        "starting",
        "running",
        "stopping",
        "stopped",
        "failed",
        "canceling",
        "canceled",
        "deleting",
        "deleted"
      ]
      workspaces.trees = statuses.map((status) => ({
        id: Seed.newId(WorkspaceId),
        name: `a ${status} one`,
        status,
        agents: [{ id: Seed.newId(AgentId), name: `of a ${status} one` }]
      }))
      const states = workspaces.trees.map(({ id, name }, status) => ({ id: toBytes(id as never), name, status }))
      const agents = workspaces.trees.flatMap((tree) =>
        tree.agents.map(({ id, name }) => ({
          id: toBytes(id as never),
          name,
          workspaceId: toBytes(tree.id as never)
        }))
      )
      const plain = (parts: ReadonlyArray<object>) =>
        parts.map((part) => Object.fromEntries(Object.entries(part).filter(([key]) => !key.startsWith("$"))))
      const { next, send } = yield* call(method.workspaceUpdates, clientCaller(newPeerId(), newPeerId()))
      yield* send({ workspaceOwnerId: toBytes(user.id as never) })

      const first = yield* next
      assert.deepStrictEqual(plain(first.upsertedWorkspaces), states)
      assert.deepStrictEqual(plain(first.upsertedAgents), agents)
      workspaces.trees = []
      yield* (yield* PubSub.PubSub).publish(WorkspaceEvent.channel(user.id), "an event")
      const second = yield* next
      assert.deepStrictEqual(plain(second.deletedWorkspaces), states)
      assert.deepStrictEqual(plain(second.deletedAgents), agents)
      assert.deepStrictEqual([...second.upsertedWorkspaces, ...second.upsertedAgents], [])
    }).pipe(Effect.provide(layerServices))
  )
})

describe("the calls that fail", () => {
  const away = new StoreError({ operation: "read workspaces", reason: "unavailable", cause: "a secret" })

  it.effect("say why, without the cause, and with the code for what an agent may not call", () =>
    Effect.gen(function* () {
      const follows = (owner: Uint8Array, caller: TailnetService.Caller) =>
        Effect.gen(function* () {
          const { exit, send } = yield* call(method.workspaceUpdates, caller)
          yield* send({ workspaceOwnerId: owner })
          return yield* Effect.flatten(exit)
        })
      const client = clientCaller(newPeerId(), newPeerId())
      const own = toBytes(user.id as never)
      const refresh = (caller: TailnetService.Caller) => unary(method.refreshResumeToken, caller, {})

      const failure = <R>(effect: Effect.Effect<unknown, DrpcError, R>) =>
        Effect.map(Effect.flip(effect), ({ code, message }) => [code, message])
      const cannotIssue = { issue: () => Effect.fail(away), verify: () => Effect.succeedNone }

      assert.deepStrictEqual(
        [
          yield* failure(follows(own, agentCaller(newPeerId()))),
          yield* failure(follows(new Uint8Array(15), client)),
          yield* failure(follows(toBytes(newPeerId()), client)),
          yield* failure(
            Effect.provideService(follows(own, client), WorkspaceUpdates, { follow: () => Stream.fail(away) })
          ),
          yield* failure(refresh({ user })),
          yield* failure(Effect.provideService(refresh(client), ResumeTokens.ResumeTokens, cannotIssue))
        ],
        [
          [12, "Unimplemented"],
          [0, "workspace_owner_id must have 16 bytes"],
          [0, "the workspaces of this user may not be read"],
          [0, "cannot read workspaces"],
          [12, "Unimplemented"],
          [0, "cannot read workspaces"]
        ]
      )
    }).pipe(Effect.provide(layerServices))
  )
})

describe("resume tokens", () => {
  it.effect("are taken by every replica for 24 hours, also after their key has rotated [TU-09]", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* ResumeTokens.make, yield* ResumeTokens.make]
      const id = newPeerId()
      const { token } = yield* one.issue(id)
      yield* TestClock.adjust("6 days")
      const late = yield* one.issue(id)

      yield* TestClock.adjust("23 hours")
      assert.deepStrictEqual(yield* two.verify(late.token), Option.some(id))
      const reason = (token: string) =>
        Effect.map(Effect.flip(two.verify(token)), (error) => (error as { reason?: string }).reason)
      assert.strictEqual(yield* reason(token), "expired")
      yield* TestClock.adjust("2 hours")
      yield* one.issue(id)
      assert.strictEqual(yield* reason(late.token), "expired")
    }).pipe(Effect.provide(layerServices))
  )

  it.effect("are rejected when anything of them was changed, and ignored without the id of a key [TU-10]", () =>
    Effect.gen(function* () {
      const tokens = yield* ResumeTokens.ResumeTokens
      const { token } = yield* tokens.issue(newPeerId())
      const [header, claims, signature] = token.split(".") as [string, string, string]
      const json = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
      const { kid } = JSON.parse(Buffer.from(header, "base64url").toString()) as { kid: string }

      for (const bad of [
        "",
        "x",
        "a.b.c",
        `${header}.${claims}`,
        `${header}.${json({ sub: newPeerId(), exp: 9e9 })}.${signature}`,
        `${header}.${claims}.${signature.slice(0, -4)}AAAA`,
        `${header}.${claims}.`,
        `${json({ alg: "none", kid })}.${claims}.`,
        `${json({ alg: "HS512", kid: newPeerId() })}.${claims}.${signature}`,
        `${token}${"x".repeat(3_000)}`
      ]) {
        assert.strictEqual((yield* Effect.flip(tokens.verify(bad)))._tag, "InvalidResumeToken", bad)
      }
      assert.deepStrictEqual(yield* tokens.verify(`${json({ alg: "HS512" })}.${claims}.${signature}`), Option.none())
    }).pipe(Effect.provide(layerServices))
  )
})
