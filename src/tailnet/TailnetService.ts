/**
 * The calls of the tailnet, for agents and for clients: coordination, relays, telemetry, resume tokens and workspaces.
 *
 * - A call finds out from its connection who makes it, and what that peer may do.
 * - The end of a Coordinate call is the end of the peer's stream, and the other way round.
 * - Resume tokens and workspaces are for clients; agents read that these calls are unimplemented.
 */
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt"
import { DateTime, Duration, Effect, Option, Queue, Result, Stream } from "effect"
import * as DerpMapMessage from "../agentapi/wire/DerpMapMessage.ts"
import { mayRead, type User } from "../domain/User.ts"
import { UserId } from "../domain/Ids.ts"
import * as DrpcMultiplexer from "../wire/DrpcMultiplexer.ts"
import { Tailnet, Workspace_Status } from "../wire/generated/tailnet_pb.ts"
import { Coordinator, type Peer } from "./Coordinator.ts"
import { DerpMaps } from "./DerpMaps.ts"
import { decodeRequest, encodeResponse } from "./internal/messages.ts"
import { NetworkTelemetry } from "./NetworkTelemetry.ts"
import { fromBytes, type PeerId, toBytes } from "./Peer.ts"
import { ResumeTokens } from "./ResumeTokens.ts"
import type { WorkspaceStatus } from "./WorkspaceTreeStore.ts"
import { type WorkspaceUpdate, WorkspaceUpdates } from "./WorkspaceUpdates.ts"

/** The caller. */
export interface Caller {
  /** The peer that coordinates; without one there is no coordination. */
  readonly peer?: Peer | undefined
  /** The user whose client calls; an agent has none. */
  readonly user?: User | undefined
}

const failed = (message: string) => new DrpcMultiplexer.DrpcError({ code: 0, message })

/** The calls, for connections of which `callerOf` says who makes them. */
export const make = Effect.gen(function* () {
  const coordinator = yield* Coordinator
  const derpMaps = yield* DerpMaps
  const telemetry = yield* NetworkTelemetry
  const resumeTokens = yield* ResumeTokens
  const workspaces = yield* WorkspaceUpdates

  const coordinate = Effect.fnUntraced(function* (
    { receive, send }: DrpcMultiplexer.Messages<Uint8Array, Uint8Array>,
    { peer }: Caller
  ) {
    if (peer === undefined) return yield* failed("coordination needs the id of a stream")
    const stream = yield* coordinator.connect(peer)
    const requests = Effect.gen(function* () {
      while (true) {
        const bytes = yield* receive
        if (Option.isNone(bytes)) return
        const request = decodeRequest(bytes.value)
        yield* Result.isSuccess(request) ? stream.send(request.success) : stream.refuse(request.failure)
      }
    })
    const responses = Queue.take(stream.responses).pipe(
      Effect.flatMap((response) => send(encodeResponse(response))),
      Effect.forever,
      Effect.ignore
    )
    yield* Effect.raceFirst(responses, requests)
  }, Effect.scoped)

  const refreshResumeToken = Effect.fnUntraced(function* ({ peer, user }: Caller) {
    if (peer === undefined || user === undefined) return yield* DrpcMultiplexer.unimplemented
    const { expiresAt, refreshIn, token } = yield* Effect.mapError(resumeTokens.issue(peer.id), ({ message }) =>
      failed(message)
    )
    return {
      token,
      refreshIn: durationFromMs(Duration.toMillis(refreshIn)),
      expiresAt: timestampFromMs(DateTime.toEpochMillis(expiresAt))
    }
  })

  const follow = Effect.fnUntraced(function* (
    owner: Uint8Array,
    send: (update: ReturnType<typeof updateMessage>) => Effect.Effect<void>,
    { user }: Caller
  ) {
    if (user === undefined) return yield* DrpcMultiplexer.unimplemented
    const ownerId = Option.map(fromBytes(owner), (id) => UserId.make(id))
    if (Option.isNone(ownerId)) return yield* failed("workspace_owner_id must have 16 bytes")
    if (!mayRead(user, ownerId.value)) return yield* failed("the workspaces of this user may not be read")
    yield* workspaces.follow(ownerId.value).pipe(
      Stream.runForEach((update) => send(updateMessage(update))),
      Effect.mapError(({ message }) => failed(message))
    )
  })

  return <C>(callerOf: (connection: C) => Caller): ReadonlyArray<DrpcMultiplexer.Entry<C>> => [
    {
      name: DrpcMultiplexer.nameOf(Tailnet.method.coordinate),
      handler: {
        _tag: "Streaming",
        isBidirectional: true,
        handle: (messages, connection: C) => coordinate(messages, callerOf(connection))
      }
    },
    DrpcMultiplexer.serverStreaming(Tailnet.method.streamDERPMaps, (_, send) =>
      Stream.runForEach(derpMaps.changes, (map) => send(DerpMapMessage.fromJson(map)))
    ),
    DrpcMultiplexer.unary(Tailnet.method.postTelemetry, ({ events }) => Effect.as(telemetry.post(events), {})),
    DrpcMultiplexer.unary(Tailnet.method.refreshResumeToken, (_, connection: C) =>
      refreshResumeToken(callerOf(connection))
    ),
    DrpcMultiplexer.serverStreaming(Tailnet.method.workspaceUpdates, ({ workspaceOwnerId }, send, connection: C) =>
      follow(workspaceOwnerId, send, callerOf(connection))
    )
  ]
})

// ----- internals -----

const statusOf = (status: WorkspaceStatus): Workspace_Status =>
  Workspace_Status[status.toUpperCase() as Uppercase<WorkspaceStatus>]

const updateMessage = (update: WorkspaceUpdate) => {
  const bytes = (id: string) => toBytes(id as PeerId)
  const workspaces = (states: WorkspaceUpdate["upsertedWorkspaces"]) =>
    states.map(({ id, name, status }) => ({ id: bytes(id), name, status: statusOf(status) }))
  const agents = (states: WorkspaceUpdate["upsertedAgents"]) =>
    states.map(({ id, name, workspaceId }) => ({ id: bytes(id), name, workspaceId: bytes(workspaceId) }))
  return {
    upsertedWorkspaces: workspaces(update.upsertedWorkspaces),
    upsertedAgents: agents(update.upsertedAgents),
    deletedWorkspaces: workspaces(update.deletedWorkspaces),
    deletedAgents: agents(update.deletedAgents)
  }
}
