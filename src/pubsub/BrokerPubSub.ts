/** Makes the pubsub over the broker that the settings name: NATS, or Redis or Valkey. */
import type { Effect, Redacted, Scope } from "effect"
import * as NatsPubSub from "./NatsPubSub.ts"
import type { PubSub } from "./PubSub.ts"
import { backendOf } from "./PubSubVariables.ts"
import * as RedisPubSub from "./RedisPubSub.ts"

export { BrokerError } from "./internal/brokerError.ts"

export interface Settings {
  readonly pubsubUrl: Redacted.Redacted
  readonly pubsubPrefix: string
  readonly pubsubCredentialsFile: string | undefined
  readonly pubsubTlsCa: string | undefined
  readonly pubsubTlsCert: string | undefined
  readonly pubsubTlsKey: string | undefined
}

/** Returns a pubsub that listens as long as the scope is open. Fails when the broker cannot be used. */
export const make = (settings: Settings): Effect.Effect<PubSub["Service"], NatsPubSub.BrokerError, Scope.Scope> =>
  (backendOf(settings.pubsubUrl) === "nats" ? NatsPubSub : RedisPubSub).make({
    url: settings.pubsubUrl,
    prefix: settings.pubsubPrefix,
    credentialsFile: settings.pubsubCredentialsFile,
    tls: { ca: settings.pubsubTlsCa, cert: settings.pubsubTlsCert, key: settings.pubsubTlsKey }
  })
