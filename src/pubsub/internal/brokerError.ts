/** Defines the error of a connection to a broker. */
import { Effect, Schema } from "effect"
import * as RemoteServer from "../../platform/RemoteServer.ts"

/**
 * The broker cannot be used. The message names the setting of the service and what to do; no message has a password.
 *
 * - `unreachable`: no connection can be opened, or it broke.
 * - `protocol`: the server does not reply in the protocol of the address, or not with or without TLS as the address says.
 * - `credentials`: the broker does not accept the user or the password.
 * - `rights`: the user may not publish or subscribe to the channels of the prefix.
 * - `certificate`: the certificate of one side is missing or not accepted by the other.
 * - `version`: the broker is too old.
 * - `silence`: the connection does not receive its own heartbeat.
 * - `package`: the package of the client is not installed.
 * - `settings`: the address or a file of the settings cannot be read.
 */
export class BrokerError extends Schema.TaggedError<BrokerError>()("BrokerError", {
  /** The kind of the failure. */
  reason: Schema.Literals([
    "unreachable",
    "protocol",
    "credentials",
    "rights",
    "certificate",
    "version",
    "silence",
    "package",
    "settings"
  ]),
  /** The cause and the remedy, in one sentence. */
  detail: Schema.String,
  /** The error of the client. */
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return this.detail
  }
}

export type Reason = BrokerError["reason"]

/** The word for a broker in sentences, and the part that the names of its settings share. */
export const role: RemoteServer.Role = { name: "broker", settings: "PUBSUB" }

/** Turns what is wrong with the settings of a broker into its error. */
export const asBrokerError = <A>(self: Effect.Effect<A, RemoteServer.Problem>): Effect.Effect<A, BrokerError> =>
  Effect.mapError(self, (problem) => new BrokerError(problem))

/** The errors of a broker at an address that may be shown. */
export const errorsOf = (target: Pick<RemoteServer.Target, "display" | "scheme">, prefix: string) => {
  const address = target.display
  const details: { readonly [R in Exclude<Reason, "package" | "settings">]: (why: string) => string } = {
    ...RemoteServer.sentences(role, target),
    rights: (why) =>
      `the user of the broker ${address} may not publish and subscribe to the channels of the service (${why}): allow it every channel that begins with ${prefix}. or set PUBSUB_PREFIX to a prefix that is allowed`,
    version: (why) =>
      `the broker ${address} is too old (${why}): run NATS 2.2, Redis 6 or Valkey, or later, at PUBSUB_URL`,
    silence: () =>
      `the broker ${address} does not send the service its own messages: check that it runs, and that PUBSUB_URL leads to the broker itself`
  }
  return (reason: keyof typeof details, cause: unknown) =>
    new BrokerError({ reason, detail: details[reason](RemoteServer.reasonOf(cause)), cause })
}
