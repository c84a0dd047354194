/** A small service over dRPC, with the answers of the recorded one. */
import { create } from "@bufbuild/protobuf"
import { Deferred, Effect, Option, Queue } from "effect"
import * as DrpcMultiplexer from "../../src/wire/DrpcMultiplexer.ts"
import { Agent, BannerConfigSchema, type BatchCreateLogsRequest } from "../../src/wire/generated/agent_pb.ts"
import { Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import { connect, open } from "./support.ts"

export const banners = "/coder.agent.v2.Agent/GetAnnouncementBanners"
export const coordinate = "/coder.tailnet.v2.Tailnet/Coordinate"

/** A service that does what the recorded one did. */
export const make = Effect.gen(function* () {
  const logs = yield* Queue.unbounded<BatchCreateLogsRequest>()
  const interrupted = yield* Queue.unbounded<string>()
  const log = yield* Deferred.make<void>()
  const region = {
    regionId: 999n,
    embeddedRelay: true,
    regionCode: "coder",
    regionName: "Coder Embedded Relay",
    nodes: [{ name: "999b", regionId: 999n, hostName: "127.0.0.1", stunPort: -1, derpPort: 8080, forceHttp: true }]
  }
  const noting = (name: string) => Effect.onInterrupt(Effect.never, () => Queue.offer(interrupted, name))
  const multiplexer = DrpcMultiplexer.make<string>([
    DrpcMultiplexer.unary(Agent.method.getAnnouncementBanners, () =>
      Effect.succeed({
        announcementBanners: [create(BannerConfigSchema, { enabled: true, message: "hi", backgroundColor: "#00ff00" })]
      })
    ),
    DrpcMultiplexer.unary(Agent.method.updateStartup, ({ startup }) =>
      Effect.fail(
        new DrpcMultiplexer.DrpcError({ code: 0, message: `invalid agent semver version "${startup?.version}"` })
      )
    ),
    DrpcMultiplexer.unary(Agent.method.batchCreateLogs, (request) =>
      Effect.as(Queue.offer(logs, request), { logLimitExceeded: false })
    ),
    DrpcMultiplexer.unary(Agent.method.getManifest, () => noting("GetManifest")),
    DrpcMultiplexer.unary(Agent.method.updateStats, () => Effect.as(Deferred.await(log), {})),
    DrpcMultiplexer.unary(Agent.method.updateLifecycle, () => Effect.die("the secret of the house")),
    DrpcMultiplexer.unary(Agent.method.listSubAgents, (_, connection) =>
      Effect.succeed({ agents: [{ name: connection }] })
    ),
    DrpcMultiplexer.serverStreaming(Tailnet.method.streamDERPMaps, (_, send) =>
      Effect.andThen(send({ homeParams: {}, regions: { 999: region } }), noting("StreamDERPMaps"))
    ),
    DrpcMultiplexer.bidirectional(Tailnet.method.coordinate, ({ receive, send }) =>
      Effect.gen(function* () {
        while (true) {
          const request = yield* Effect.onInterrupt(receive, () => Queue.offer(interrupted, "Coordinate"))
          if (Option.isNone(request) || request.value.disconnect !== undefined) return
          yield* send({ error: request.value.updateSelf?.node?.disco ?? "no node" })
        }
      })
    )
  ])
  return { interrupted, log, logs, multiplexer }
})

/** A client of that service, with the first stream open. */
export const start = Effect.gen(function* () {
  const service = yield* make
  const client = yield* connect(service.multiplexer, "an agent")
  yield* client.send(open(1))
  return { ...service, ...client }
})

/** Four bytes of varint, however small the value. */
export const varint = (value: number): ReadonlyArray<number> => {
  const bytes: Array<number> = []
  for (let rest = value; bytes.length < 4; rest = Math.floor(rest / 128))
    bytes.push((rest & 127) | (bytes.length < 3 ? 128 : 0))
  return bytes
}
