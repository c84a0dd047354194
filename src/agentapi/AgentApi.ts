/**
 * The contract between an agent and the service: what an agent may call, with the names and fields of the original's
 * protocol, so that another transport can carry the same calls to the same handlers.
 *
 * Fields that the original's protocol may leave out have its defaults here: an empty text, an empty list.
 */
import { Effect, Schema } from "effect"
import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"
import type { AgentSession } from "./AgentSession.ts"

const Text = Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("")))

/** One sample. The service times it by its own clock: `collected_at` and `age` are taken and not looked at. */
const MetadataResult = Schema.Struct({
  collected_at: Schema.optionalKey(Schema.String),
  age: Schema.optionalKey(Schema.Finite),
  value: Text,
  error: Text
})

const Metadata = Schema.Struct({ key: Text, result: Schema.optionalKey(MetadataResult) })

export const BatchUpdateMetadataRequest = Schema.Struct({
  metadata: Schema.Array(Metadata).pipe(Schema.withDecodingDefaultKey(Effect.succeed([])))
})
export type BatchUpdateMetadataRequest = typeof BatchUpdateMetadataRequest.Type

/** The keys of a report are larger than one may be in all. The entries before the limit were accepted. */
export class MetadataKeysTooLong extends Schema.TaggedError<MetadataKeysTooLong>()("MetadataKeysTooLong", {
  /** The sum of key sizes at which reading stopped, in bytes. */
  keyBytes: Schema.Int,
  /** The largest sum, in bytes. */
  limit: Schema.Int
}) {
  override get message() {
    return `metadata: the keys of one report have ${this.keyBytes} bytes and more, over the limit of ${this.limit} bytes`
  }
}

export const BatchUpdateMetadata = Rpc.make("BatchUpdateMetadata", {
  payload: BatchUpdateMetadataRequest,
  success: Schema.Struct({}),
  error: MetadataKeysTooLong
})

/** Gives each call the session of the connection that it came over. */
export class SessionOfConnection extends RpcMiddleware.Service<SessionOfConnection, { provides: AgentSession }>()(
  "metadata-batcher/agentapi/SessionOfConnection"
) {}

/** Everything that an agent may call. */
export const AgentApi = RpcGroup.make(BatchUpdateMetadata).middleware(SessionOfConnection)
