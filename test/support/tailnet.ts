/** The ports of the tailnet for tests of other rooms: they store nothing and find nothing. */
import { Effect, Layer } from "effect"
import { CoordinatorStore } from "../../src/tailnet/CoordinatorStore.ts"
import { ResumeKeyStore } from "../../src/tailnet/ResumeKeyStore.ts"
import { WorkspaceTreeStore } from "../../src/tailnet/WorkspaceTreeStore.ts"

const nothing = () => Effect.succeed([])

export const layerPorts = Layer.mergeAll(
  Layer.succeed(CoordinatorStore, {
    write: nothing,
    peers: nothing,
    tunnels: nothing,
    beat: nothing,
    loseAll: nothing,
    cleanUp: Effect.void
  }),
  Layer.succeed(ResumeKeyStore, { keys: nothing, add: () => Effect.void }),
  Layer.succeed(WorkspaceTreeStore, { ofOwner: nothing })
)
