/** The calls of one agent in the original's protocol, over a real WebSocket, with ports under the control of the test. */
import { assert, describe, it } from "@effect/vitest"
import { BytesValueSchema } from "@bufbuild/protobuf/wkt"
import { Effect, Fiber, Layer, Metric } from "effect"
import { TestClock } from "effect/testing"
import * as ContextState from "../../src/agentapi/calls/ContextState.ts"
import { SiteConfigs } from "../../src/agentapi/ports/SiteConfigs.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import * as FailureMetrics from "../../src/telemetry/FailureMetrics.ts"
import { Agent as Api } from "../../src/wire/generated/agent_pb.ts"
import { Tailnet } from "../../src/wire/generated/tailnet_pb.ts"
import { layerPorts } from "../support/agentApi.ts"
import { other, serve, token, slowCalls } from "../support/agentServer.ts"
import { showing } from "../support/directory.ts"
import { agent } from "../support/metadataBatcher.ts"
import * as WireAgent from "../support/wireAgent.ts"
import * as Wire from "../wire/support.ts"

/** A message whose text is no UTF-8. */
const noText = Uint8Array.of(0x0a, 0x01, 0xff)

describe("a call in the original's protocol", () => {
  it.effect("runs beside at most 15 others of its connection, however many calls one read has [FT-02]", () =>
    Effect.gen(function* () {
      // the calls of a turn end one by one
      const { began, goOn, ports, running } = yield* slowCalls(Effect.yieldNow)
      const { url } = yield* serve({ ports })
      const { start, together } = yield* WireAgent.connect(url, showing(token), "?version=2.8")
      const call = start(Api.method.getAnnouncementBanners, {})

      const calls = yield* together(Effect.replicateEffect(call, 200))
      yield* Effect.replicateEffect(began, 16)
      // a message behind is not read either
      const behind = yield* call
      const waiting = yield* Effect.forkScoped(began, { startImmediately: true })
      yield* Effect.replicateEffect(Effect.yieldNow, 100)
      assert.isUndefined(waiting.pollUnsafe())
      assert.strictEqual(running.now, 16)
      yield* goOn

      yield* Effect.forEach([...calls, behind], ({ next }) => next)
      assert.strictEqual(running.most, 16)
    })
  )

  it.effect("is decoded in its turn: bytes wait, which may become a hundred times as many [FT-02]", () =>
    Effect.gen(function* () {
      const { began, goOn, ports } = yield* slowCalls()
      const { url } = yield* serve({ ports })
      const { start, together } = yield* WireAgent.connect(url, showing(token), "?version=2.8")
      const slow = start(Api.method.getAnnouncementBanners, {})
      const invalid = start({ ...Api.method.updateStartup, input: BytesValueSchema }, { value: noText })
      const report = start(Api.method.batchUpdateMetadata, {})

      const [, { next }, { next: reported }] = yield* together(
        Effect.all([Effect.replicateEffect(slow, 16), invalid, report])
      )
      const refused = yield* Effect.forkChild(Effect.flip(next), { startImmediately: true })
      yield* Effect.replicateEffect(began, 16)
      yield* reported
      assert.isUndefined(refused.pollUnsafe())
      yield* goOn

      assert.match((yield* Fiber.join(refused)).message, /is no coder.agent.v2.UpdateStartupRequest/)
    })
  )

  it.effect("is not decoded in the turn that has read it if it is large [FT-02]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve({})
      const { start, together } = yield* WireAgent.connect(url, showing(token), "?version=2.8")
      const large = start({ ...Api.method.updateStartup, input: BytesValueSchema }, { value: new Uint8Array(8_000) })
      const report = start(Api.method.batchUpdateMetadata, {})
      const largeReport = start(Api.method.batchUpdateMetadata, {
        metadata: [{ key: "cpu", result: { value: "x".repeat(8_000) } }]
      })
      const over: Array<string> = []
      const noting = (name: string) => Effect.ensuring(Effect.sync(() => over.push(name)))

      const calls = yield* together(Effect.all([Effect.replicateEffect(large, 3), largeReport, report]))
      const replies = calls[0].map((call) => noting("large")(Effect.flip(call.next)))
      const reports = [noting("large report")(calls[1].next), noting("report")(calls[2].next)]
      yield* Effect.all([...replies, ...reports], { concurrency: "unbounded" })

      assert.deepStrictEqual(over, ["report", "large", "large", "large", "large report"])
    })
  )

  it.effect("waits while its agent does not take replies, however many calls one read has [WI-44]", () =>
    Effect.gen(function* () {
      let ran = 0
      const banner = { enabled: true, message: "x".repeat(200_000), background_color: "" }
      const banners = Effect.sync(() => {
        ran++
        return [banner]
      })
      const { url } = yield* serve({
        ports: Layer.merge(layerPorts, Layer.mock(SiteConfigs)({ announcementBanners: banners }))
      })
      const { pause, resume, start, together } = yield* WireAgent.connect(url, showing(token), "?version=2.8")
      const bystander = yield* WireAgent.connect(url, showing(other), "?version=2.8")
      const call = start(Api.method.getAnnouncementBanners, {})

      yield* pause
      const calls = yield* together(Effect.replicateEffect(call, 300))
      // the bytes of 300 replies are more than the network holds
      yield* Effect.replicateEffect(bystander.call(Api.method.getAnnouncementBanners, {}), 10)
      assert.isBelow(ran, 150)
      yield* resume

      yield* Effect.forEach(calls, ({ next }) => next)
      assert.strictEqual(ran, 310)
    })
  )

  it.effect("is read no earlier than the call rate allows for the frames before it [WI-53]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve({ routes: { agentMaxCallRate: 10 } })
      const { call, send, start, together } = yield* WireAgent.connect(url, showing(token), "?version=2.8")
      const ping = Wire.frame(Wire.Type.ping, Wire.Flag.syn, 0, 1)

      // those of 19 calls and a call: one second more than may come at once
      const pings = send(...Array.from({ length: 19 * 128 }, () => ping))
      const { next } = yield* together(Effect.andThen(pings, start(Api.method.batchUpdateMetadata, {})))
      yield* next
      const behind = yield* Effect.forkScoped(call(Api.method.batchUpdateMetadata, {}))
      yield* Effect.replicateEffect(Effect.yieldNow, 200)
      yield* TestClock.adjust("990 millis")
      yield* Effect.replicateEffect(Effect.yieldNow, 200)
      assert.isUndefined(behind.pollUnsafe())
      yield* TestClock.adjust("20 millis")

      yield* Fiber.join(behind)
    })
  )

  it.effect("fails with code 12 where it is switched off, so that an agent does not try again [CX-04]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve({ ports: Layer.merge(layerPorts, Layer.succeed(ContextState.IsEnabled, false)) })
      const { call } = yield* WireAgent.connect(url, showing(token))

      assert.deepInclude(yield* Effect.flip(call(Api.method.pushContextState, {})), { _tag: "CallFailed", code: 12 })
    })
  )

  it.effect("is counted when it fails, and its log records name the agent, as over the contract [WI-72]", () =>
    Effect.gen(function* () {
      const cause = new Error("the store is away")
      const banners = Effect.fail(new StoreError({ operation: "read the banners", reason: "unavailable", cause }))
      const { logs, url } = yield* serve({
        ports: Layer.merge(layerPorts, Layer.mock(SiteConfigs)({ announcementBanners: banners }))
      })
      const { call } = yield* WireAgent.connect(url, showing(token), "?version=2.8")

      const unavailable = yield* Effect.flip(call(Api.method.getAnnouncementBanners, {}))
      const invalid = yield* Effect.flip(call(Api.method.updateStartup, { startup: { version: "2.0" } }))

      assert.strictEqual(unavailable._tag, "CallFailed")
      assert.strictEqual(invalid._tag, "CallFailed")
      assert.deepStrictEqual(
        (yield* Metric.snapshot).flatMap(({ attributes = {}, id, state }) =>
          id === "metadata_batcher_failed_calls_total" && "count" in state && Number(state.count) > 0
            ? [[attributes["call"], attributes["reason"], Number(state.count)]]
            : []
        ),
        [
          ["GetAnnouncementBanners", "Unavailable", 1],
          ["UpdateStartup", "InvalidRequest", 1]
        ]
      )
      const records = logs.filter(({ message }) => message.includes("read the banners"))
      assert.deepStrictEqual(
        records.map(({ annotations }) => annotations["agentId"]),
        [agent(1)]
      )
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("adds a report once, although the batcher dies of it, and is counted", () =>
    Effect.gen(function* () {
      const added: Array<string> = []
      const { logs, url } = yield* serve({
        add: (entries) => {
          added.push(...entries.map(({ key }) => key))
          return Effect.die(new Error("the batcher is broken"))
        }
      })
      const { call } = yield* WireAgent.connect(url, showing(token), "?version=2.8")

      const metadata = [{ key: "cpu", result: { value: "1" } }]
      const error = yield* Effect.flip(call(Api.method.batchUpdateMetadata, { metadata }))

      assert.strictEqual(error._tag, "CallFailed")
      assert.deepStrictEqual(added, ["cpu"])
      assert.strictEqual(FailureMetrics.totals(yield* Effect.context<never>()).calls, 1)
      assert.lengthOf(
        logs.filter(({ level }) => level === "Error"),
        1
      )
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("counts against the call rate of its agent, an invalid one and that of a stream, too", () =>
    Effect.gen(function* () {
      const { url } = yield* serve({ routes: { agentMaxCallRate: 10 } })
      const { call, start, together } = yield* WireAgent.connect(url, showing(token), "?version=2.8")
      const invalid = start({ ...Api.method.updateStartup, input: BytesValueSchema }, { value: noText })
      const stream = start(Tailnet.method.streamDERPMaps, {})

      const calls = yield* together(Effect.all([Effect.replicateEffect(stream, 15), invalid]))
      yield* Effect.forEach(calls[0], ({ next }) => next)
      assert.match((yield* Effect.flip(calls[1].next)).message, /is no coder.agent.v2.UpdateStartupRequest/)
      const behind = yield* Effect.forkScoped(call(Api.method.batchUpdateMetadata, {}))
      yield* Effect.replicateEffect(Effect.yieldNow, 100)
      assert.isUndefined(behind.pollUnsafe())
      // frames count as well: those of the calls as a fourth of a call
      yield* TestClock.adjust("620 millis")
      yield* Effect.replicateEffect(Effect.yieldNow, 100)
      assert.isUndefined(behind.pollUnsafe())
      yield* TestClock.adjust("10 millis")

      yield* Fiber.join(behind)
    })
  )
})
