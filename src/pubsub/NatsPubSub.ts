/**
 * Implements the pubsub with NATS: a message reaches the subscribers of all replicas, and costs the database nothing.
 *
 * - Needs the package `@nats-io/transport-node` and a server of version 2.2 or later. Core NATS is enough: nothing is stored.
 * - Building the layer fails when no server can be used. Later a lost connection is replaced, however long that takes; until
 *   then publications fail at once, and subscribers get a `Resync` every 5 s.
 * - Every subscriber gets a `Resync` when the connection listens again, when the heartbeats of any replica show a gap or
 *   have stopped within the last minute, and once a minute.
 * - A connection that stops to respond is detected within 6 s.
 * - A publication succeeds when the server has the message, and fails after `publishTimeout`.
 * - Names and payloads have the limits of Postgres: 63 and 7 999 bytes, without NUL.
 * - The user needs the rights to publish and to subscribe to the channels that begin with `prefix` and a dot.
 *
 * @example
 * ```ts
 * import { Console, Effect, Redacted } from "effect"
 * import { PubSub } from "metadata-batcher"
 * import * as NatsPubSub from "metadata-batcher/NatsPubSub"
 *
 * const Announcements = NatsPubSub.layer({ url: Redacted.make("nats://127.0.0.1:1") })
 * const program = Effect.gen(function* () {
 *   const { publish } = yield* PubSub.PubSub
 *   yield* publish("news", "hello")
 * })
 * await program.pipe(
 *   Effect.provide(Announcements),
 *   Effect.catchTag("BrokerError", ({ message, reason }) => Console.log(`${reason}: ${message}`)),
 *   Effect.runPromise
 * )
 * // Output:
 * // unreachable: cannot reach the broker nats://127.0.0.1:1 (connect ECONNREFUSED 127.0.0.1:1): start it, or set PUBSUB_URL to the address of a broker that runs
 * ```
 */
import { Effect, Layer, type Scope } from "effect"
import type { BrokerError } from "./internal/brokerError.ts"
import * as BrokerPubSub from "./internal/brokerPubSub.ts"
import type { Times } from "./internal/listeningPubSub.ts"
import * as NatsConnection from "./internal/natsConnection.ts"
import { PubSub } from "./PubSub.ts"

export { BrokerError } from "./internal/brokerError.ts"

/** The address of the servers, the credentials and the times of the pubsub. */
export interface Options extends NatsConnection.Options, Times {}

/** Returns a pubsub that listens as long as the scope is open. Fails when no server can be used. */
export const make = (options: Options): Effect.Effect<PubSub["Service"], BrokerError, Scope.Scope> =>
  Effect.flatMap(NatsConnection.driver(options), (driver) => BrokerPubSub.make(driver, options))

/** Provides `PubSub` over NATS. Fails when no server can be used. */
export const layer = (options: Options): Layer.Layer<PubSub, BrokerError> => Layer.effect(PubSub, make(options))
