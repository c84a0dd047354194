/**
 * Tells the agent of a prebuilt workspace when somebody has claimed the workspace, as server-sent events.
 *
 * - A claim is a new owner of the workspace. It is noticed as soon as the database announces it, and at the latest within
 *   a minute.
 * - The events end with the claim: the agent then starts anew, for its owner. Before it there is a ping at the start and
 *   then one every 15 seconds.
 * - A workspace that cannot be read counts as not claimed.
 */
import { Deferred, Effect, Option, Stream } from "effect"
import * as Revocations from "../access/Revocations.ts"
import { WorkspaceStore } from "../access/WorkspaceStore.ts"
import type { UserId, WorkspaceId } from "../domain/Ids.ts"
import { isPrebuild, type Workspace } from "../domain/Workspace.ts"
import type { ClaimSse } from "./AgentHttpApi.ts"

const pingInterval = "15 seconds"

/** Makes the function that returns the events of a prebuilt workspace. */
export const make = Effect.gen(function* () {
  const revocations = yield* Revocations.Revocations
  const store = yield* WorkspaceStore

  const watchClaim = Effect.fnUntraced(function* (id: WorkspaceId) {
    const claimed = yield* Deferred.make<UserId>()
    const check = () =>
      Effect.ignore(
        Effect.flatMap(store.workspace(id), (found) =>
          Option.isSome(found) && !isPrebuild(found.value)
            ? Deferred.succeed(claimed, found.value.ownerId)
            : Effect.void
        ),
        { log: "Warn", message: "workspace not read" }
      )
    const { follow } = yield* revocations.watch(check)
    follow(`workspace:${id}`)
    // the claim may have been announced before
    yield* check()
    return claimed
  })

  return ({ id }: Workspace) =>
    Stream.unwrap(
      Effect.map(watchClaim(id), (claimed) => {
        const ended = Deferred.await(claimed)
        const pings = Stream.map(Stream.tick(pingInterval), (): ClaimSse => ({ event: "ping", data: "" }))
        const claim = Effect.map(ended, (owner_id): ClaimSse => ({
          event: "data",
          data: { workspace_id: id, reason: "prebuild_claimed", owner_id }
        }))
        return Stream.concat(Stream.interruptWhen(pings, ended), Stream.fromEffect(claim))
      })
    )
})
