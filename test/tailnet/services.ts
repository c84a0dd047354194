/** The services of the tailnet in memory, and the ports that a test speaks for. */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { DateTime, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as Coordinator from "../../src/tailnet/Coordinator.ts"
import * as DerpMaps from "../../src/tailnet/DerpMaps.ts"
import * as NetworkTelemetry from "../../src/tailnet/NetworkTelemetry.ts"
import { type ResumeKey, ResumeKeyStore } from "../../src/tailnet/ResumeKeyStore.ts"
import * as ResumeTokens from "../../src/tailnet/ResumeTokens.ts"
import { type WorkspaceTree, WorkspaceTreeStore } from "../../src/tailnet/WorkspaceTreeStore.ts"
import * as WorkspaceUpdates from "../../src/tailnet/WorkspaceUpdates.ts"

/** Keys that every replica of a test shares. */
export const makeKeys = (): ResumeKeyStore["Service"] => {
  let keys: ReadonlyArray<ResumeKey> = []
  const living = (now: DateTime.Utc) => keys.filter(({ endsAt }) => DateTime.isGreaterThan(endsAt, now))
  return {
    keys: (now) => Effect.sync(() => living(now)),
    add: (key, since) =>
      Effect.sync(() => {
        keys = living(key.startsAt)
        if (keys.some(({ startsAt }) => DateTime.isGreaterThan(startsAt, since))) return
        keys = [...keys, key].sort((a, b) => DateTime.Order(b.startsAt, a.startsAt))
      })
  }
}

/** The workspaces of every user. */
export const workspaces: { trees: ReadonlyArray<WorkspaceTree> } = { trees: [] }
const layerTrees = Layer.succeed(WorkspaceTreeStore, { ofOwner: () => Effect.sync(() => workspaces.trees) })

export const layerServices = Layer.mergeAll(
  Coordinator.layerMemory(),
  DerpMaps.layer(),
  NetworkTelemetry.layer(),
  ResumeTokens.layer,
  WorkspaceUpdates.layer
).pipe(
  Layer.provideMerge(
    Layer.mergeAll(Layer.sync(ResumeKeyStore, makeKeys), layerTrees, PubSub.layerMemory, NodeCrypto.layer)
  ),
  Layer.provide(Layer.merge(NodeFileSystem.layer, FetchHttpClient.layer))
)
