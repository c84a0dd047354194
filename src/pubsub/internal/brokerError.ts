/** Defines the error of a connection to a broker. */
import { Schema } from "effect"

/**
 * The broker cannot be used. The message names the setting of the service and what to do; no message has a password.
 *
 * - `unreachable`: no connection can be opened, or it broke.
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

/** The errors of a broker at an address that may be shown. */
export const errorsOf = (address: string, prefix: string) => {
  const details: { readonly [R in Exclude<Reason, "package" | "settings">]: (why: string) => string } = {
    unreachable: (why) =>
      `cannot reach the broker ${address} (${why}): start it, or set PUBSUB_URL to the address of a broker that runs`,
    credentials: (why) =>
      `the broker ${address} does not accept the user or the password (${why}): correct them in PUBSUB_URL or PUBSUB_CREDENTIALS_FILE`,
    rights: (why) =>
      `the user of the broker ${address} may not publish and subscribe to the channels of the service (${why}): allow it every channel that begins with ${prefix}. or set PUBSUB_PREFIX to a prefix that is allowed`,
    certificate: (why) =>
      `the TLS connection to the broker ${address} failed (${why}): set PUBSUB_TLS_CA to the authority of its certificate, and PUBSUB_TLS_CERT and PUBSUB_TLS_KEY if it asks for one`,
    version: (why) =>
      `the broker ${address} is too old (${why}): run NATS 2.2, Redis 6 or Valkey, or later, at PUBSUB_URL`,
    silence: () =>
      `the broker ${address} does not send the service its own messages: check that PUBSUB_URL leads to the broker itself`
  }
  return (reason: keyof typeof details, cause: unknown) =>
    new BrokerError({ reason, detail: details[reason](reasonOf(cause)), cause })
}

/** Returns the innermost message of an error. */
export const reasonOf = (cause: unknown): string => {
  let innermost = cause
  while (innermost instanceof AggregateError && innermost.errors.length > 0) innermost = innermost.errors[0]
  while (innermost instanceof Error && innermost.cause instanceof Error) innermost = innermost.cause
  return innermost instanceof Error ? innermost.message || innermost.name : String(innermost)
}

/** The codes of Node and OpenSSL for a TLS handshake that failed, in the message or the code of an error. */
const tlsFailure = /CERT|SSL|TLS|ALTNAME|SELF_SIGNED|SELF-SIGNED|UNABLE_TO_(GET|VERIFY)/i

/** Whether an error is about TLS. */
export const isTlsFailure = (cause: unknown): boolean =>
  cause instanceof Error &&
  (("code" in cause && tlsFailure.test(String(cause.code))) ||
    tlsFailure.test(cause.message) ||
    isTlsFailure(cause.cause))
