/** The id of this process among all replicas, new at every start. */
import { Context, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { ReplicaId } from "./Ids.ts"

export class Replica extends Context.Service<Replica, ReplicaId>()("metadata-batcher/domain/Replica") {}

export const layer: Layer.Layer<Replica, never, SecureRandom.SecureRandom> = Layer.effect(
  Replica,
  Effect.map(
    SecureRandom.SecureRandom.use((random) => random.uuidV4()),
    (id) => ReplicaId.make(id)
  )
)
