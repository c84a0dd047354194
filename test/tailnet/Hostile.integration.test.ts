/** Agents that send the tailnet what no stock agent sends, over their own connections. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Metrics from "../../src/tailnet/TailnetMetrics.ts"
import { Agent } from "../../src/wire/generated/agent_pb.ts"
import { type CoordinateRequestSchema, Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as WireAgent from "../support/wireAgent.ts"

const connected = Effect.gen(function* () {
  const { url } = yield* Service.TestService
  return yield* WireAgent.connect(url, People.showing((yield* People.agent()).token))
})

const ids = (count: number, length = 16) =>
  Array.from({ length: count }, (_, index) => {
    const id = new Uint8Array(length)
    new DataView(id.buffer).setUint32(0, index + 1)
    return { id }
  })

layer(Service.layer, { excludeTestServices: true })("a hostile agent", (it) => {
  it.effect("loses its stream with an error and a count, and neither its connection nor another agent [TC-54]", () =>
    Effect.gen(function* () {
      const { metric } = yield* Service.TestService
      const [hostile, other] = [yield* connected, yield* connected]
      const large = "a node may have 65536 bytes at most"
      const requests: ReadonlyArray<
        readonly [MessageInitShape<typeof CoordinateRequestSchema>, keyof typeof Metrics.refusals, string]
      > = [
        [{ updateSelf: { node: { disco: "d".repeat(100_000) } } }, "node_too_large", large],
        [
          { updateSelf: { node: { endpoints: Array.from({ length: 10_000 }, (_, port) => `1.2.3.4:${port}`) } } },
          "node_too_large",
          large
        ],
        [{ updateSelf: { node: { addresses: ["fd7a:115c:a1e0::1/128"] } } }, "authorization", "invalid node address"],
        [{ updateSelf: {} }, "malformed", "update_self must have a node"],
        [{ addTunnel: ids(1)[0]! }, "authorization", "agents cannot open tunnels"],
        ...[0, 15, 17, 100_000].flatMap((length) =>
          (["addTunnel", "removeTunnel"] as const).map(
            (part) =>
              [
                { [part]: { id: new Uint8Array(length) } },
                "malformed",
                `unable to convert bytes to UUID: invalid UUID (got ${length} bytes)`
              ] as const
          )
        ),
        [{ readyForHandshake: [...ids(1_000), ...ids(1, 8)] }, "malformed", "invalid UUID (got 8 bytes)"]
      ]

      for (const [request, reason, text] of requests) {
        const before = metric(Metrics.refusals[reason]).count
        const { close, next } = yield* hostile.start(Tailnet.method.coordinate, request)
        const { error } = yield* next
        assert.include(error, text)
        assert.strictEqual((yield* Effect.flip(next))._tag, "Ended")
        assert.strictEqual(metric(Metrics.refusals[reason]).count, before + 1)
        yield* close
      }

      yield* hostile.call(Agent.method.getAnnouncementBanners, {})
      yield* other.call(Agent.method.getAnnouncementBanners, {})
    })
  )

  it.effect("that does not read has its stream ended before its errors fill the memory [TC-52]", () =>
    Effect.gen(function* () {
      const { metric } = yield* Service.TestService
      const [hostile, other] = [yield* connected, yield* connected]
      const ended = () => metric(Metrics.streamsEnded.overflow).count

      for (let attempt = 1; attempt <= 20; attempt++) {
        // no credit is granted for the errors
        yield* hostile.start(Tailnet.method.coordinate, { readyForHandshake: ids(10_000) })
        yield* hostile.call(Agent.method.getAnnouncementBanners, {})
        yield* Effect.yieldNow
      }

      yield* other.call(Agent.method.getAnnouncementBanners, {})
      assert.strictEqual(ended(), 20)
    })
  )
})
