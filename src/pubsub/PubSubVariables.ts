/** The settings of the pubsub. */
import { Redacted } from "effect"
import * as Value from "../domain/SettingValue.ts"
import { optional, required } from "../domain/SettingVariable.ts"
import * as RemoteServerVariables from "../platform/RemoteServerVariables.ts"
import { role } from "./internal/brokerError.ts"
import { defaultPrefix } from "./internal/brokerSettings.ts"

const tls = RemoteServerVariables.tls(role)

export const variables = {
  pubsubUrl: optional({
    name: "PUBSUB_URL",
    value: Value.secretUrl(
      /^(nats|tls|rediss?):\/\//,
      "an address that begins with nats://, tls://, redis:// or rediss://"
    ),
    description:
      "The broker that carries announcements between replicas: NATS (more hosts behind commas), or Redis or Valkey. Without it Postgres does. Change it on all replicas at once."
  }),
  pubsubPrefix: required({
    name: "PUBSUB_PREFIX",
    default: defaultPrefix,
    value: Value.pattern(/^[\w-]+(\.[\w-]+)*$/, "letters, digits, _ and -, in parts with dots between them"),
    description: "The first part of the names of channels at the broker, different for each service that shares it."
  }),
  pubsubCredentialsFile: optional({
    name: "PUBSUB_CREDENTIALS_FILE",
    value: Value.text("a file"),
    description:
      "A file with the user and the password for the broker (user:password), a token or the credentials of NATS. It is read for each connection."
  }),
  pubsubTlsCa: tls.ca,
  pubsubTlsCert: tls.cert,
  pubsubTlsKey: tls.key,
  pubsubWatchdogInterval: required({
    name: "PUBSUB_WATCHDOG_INTERVAL",
    default: "15 seconds",
    value: Value.duration,
    description: "How often a heartbeat is published that every replica has to receive."
  }),
  pubsubWatchdogTimeout: required({
    name: "PUBSUB_WATCHDOG_TIMEOUT",
    default: "5 minutes",
    value: Value.duration,
    description: "How long no heartbeat may arrive although they are published; then the process ends."
  })
} as const

export type Backend = "postgres" | "nats" | "redis"

/** Returns which kind of server carries announcements. */
export const backendOf = (url: Redacted.Redacted | undefined): Backend =>
  url === undefined ? "postgres" : Redacted.value(url).startsWith("redis") ? "redis" : "nats"
