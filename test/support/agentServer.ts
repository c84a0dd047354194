/** Where agents connect, with a batcher, tokens and ports under the control of the test. */
import { NodeCrypto } from "@effect/platform-node"
import { Deferred, Effect, Layer, Queue } from "effect"
import * as Access from "../../src/access/Access.ts"
import type { AccessStore } from "../../src/access/AccessStore.ts"
import * as Revocations from "../../src/access/Revocations.ts"
import * as AgentRoutes from "../../src/agentapi/AgentRoutes.ts"
import { SiteConfigs } from "../../src/agentapi/ports/SiteConfigs.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import type { MetadataEntry } from "../../src/domain/Metadata.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as Defects from "../../src/telemetry/Defects.ts"
import * as Fake from "./accessStore.ts"
import { layerPorts } from "./agentApi.ts"
import { identity } from "./identity.ts"
import { serveRoutes } from "./localServer.ts"
import { collectLogs, type LogRecord } from "./logs.ts"
import { agent } from "./metadataBatcher.ts"

/** The tokens of agents 1 and 2. */
export const [token, other] = [Fake.token("of agent 1"), Fake.token("of agent 2")]

export const known = Fake.layer({
  agents: [
    [token, identity(agent(1))],
    [other, identity(agent(2))]
  ]
})

/** Serves agents for as long as the test runs. */
export const serve = Effect.fnUntraced(function* ({
  add = () => Effect.succeed(0),
  ports = layerPorts,
  routes = {},
  saturation = () => 0,
  store = known
}: {
  readonly store?: Layer.Layer<AccessStore>
  readonly add?: (entries: ReadonlyArray<MetadataEntry>) => Effect.Effect<number>
  readonly ports?: typeof layerPorts
  readonly routes?: AgentRoutes.Options
  readonly saturation?: () => number
}) {
  const logs: Array<LogRecord> = []
  const url = yield* serveRoutes(
    AgentRoutes.layer(routes).pipe(
      Layer.provide([Access.layer, Revocations.layer]),
      Layer.provide([
        store,
        ports,
        PubSub.layerMemory,
        NodeCrypto.layer,
        Defects.layer,
        MetadataBatcher.layerTest({
          add: (_, entries) => add(entries),
          saturationUnsafe: saturation
        })
      ])
    )
  ).pipe(collectLogs(logs))
  return { url, logs }
})

/** A call that runs until the test lets it go on, and then until `last` ends: `GetAnnouncementBanners`. */
export const slowCalls = Effect.fnUntraced(function* (last: Effect.Effect<void> = Effect.void) {
  const began = yield* Queue.unbounded<void>()
  const interrupted = yield* Queue.unbounded<void>()
  const gate = yield* Deferred.make<void>()
  const running = { now: 0, most: 0 }
  const banners = Effect.gen(function* () {
    running.most = Math.max(running.most, ++running.now)
    Queue.offerUnsafe(began, undefined)
    yield* Deferred.await(gate)
    yield* last
    running.now--
    return []
  }).pipe(Effect.onInterrupt(() => Effect.sync(() => Queue.offerUnsafe(interrupted, undefined))))
  return {
    ports: Layer.merge(layerPorts, Layer.mock(SiteConfigs)({ announcementBanners: banners })),
    began: Queue.take(began),
    interrupted: Queue.take(interrupted),
    goOn: Deferred.succeed(gate, undefined),
    running
  }
})
