/** Where agents connect, over real WebSockets, with a batcher and tokens under the control of the test. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Effect, Layer, Queue } from "effect"
import { TestClock } from "effect/testing"
import { layerConnections, layerPorts } from "../support/agentApi.ts"
import * as Fake from "../support/accessStore.ts"
import * as Agent from "../support/agent.ts"
import { requests, type Tag } from "../support/agentCalls.ts"
import { known, other, serve, token } from "../support/agentServer.ts"
import { showing } from "../support/directory.ts"
import * as FairReader from "../../src/platform/FairReader.ts"
import { AccessStore } from "../../src/access/AccessStore.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import type { AgentSocketStore } from "../../src/agentapi/ports/AgentSocketStore.ts"
import { SiteConfigs } from "../../src/agentapi/ports/SiteConfigs.ts"
import { ResourceMonitorStore } from "../../src/agentapi/ports/ResourceMonitorStore.ts"

const frame = (id: string, key: string) => Agent.report(id, Agent.sample(key, "a value"))

/** Ports that record heartbeats like this. */
const recording = (record: AgentSocketStore["Service"]["recordHeartbeat"]) =>
  Layer.merge(layerPorts, layerConnections(record))

/** A call that reads the banners, and ports that read them like this. */
const slow = (id: string) =>
  JSON.stringify({ _tag: "Request", id, tag: "GetAnnouncementBanners", payload: {}, headers: [] })
const slowBanners = (read: Effect.Effect<void>) =>
  Layer.merge(layerPorts, Layer.mock(SiteConfigs)({ announcementBanners: Effect.as(read, []) }))

const noBanners = (id: string) => ({
  _tag: "Exit",
  requestId: id,
  exit: { _tag: "Success", value: { announcement_banners: [] } }
})

describe("AgentRoutes", () => {
  it.effect("reads agents after a delay while the batcher is full, and answers each of them [SL-07]", () =>
    Effect.gen(function* () {
      let isFull = false
      const order = yield* Queue.unbounded<string>()
      const note = (step: string) => Queue.offerUnsafe(order, step)
      const { url } = yield* serve({
        add: () => Effect.sync(() => (note("read"), 0)),
        saturation: () => (isFull ? (note("asked"), 1) : 0)
      })
      const connection = yield* Agent.connect(url, showing(token))
      assert.deepStrictEqual(yield* Agent.exchange(connection, frame("1", "a")), Agent.accepted("1"))
      assert.strictEqual(yield* Queue.take(order), "read")

      isFull = true
      yield* connection.send(frame("2", "a"))
      assert.strictEqual(yield* Queue.take(order), "asked")
      yield* TestClock.adjust(FairReader.maxDelayMillis)

      assert.strictEqual(yield* Queue.take(order), "read")
      assert.deepStrictEqual(JSON.parse(yield* Queue.take(connection.messages)), Agent.accepted("2"))
    })
  )

  it.effect("looks an agent up once, however much it reports [SL-02]", () =>
    Effect.gen(function* () {
      let lookups = 0
      const counted = Layer.effect(
        AccessStore,
        Effect.map(AccessStore, (store) => ({
          ...store,
          agents: (digests) => Effect.suspend(() => (lookups++, store.agents(digests))),
          ownerships: (agents) => Effect.suspend(() => (lookups++, store.ownerships(agents)))
        }))
      )
      const { url } = yield* serve({ store: Layer.provide(counted, known) })
      const connection = yield* Agent.connect(url, showing(token))
      assert.deepStrictEqual(yield* Agent.exchange(connection, frame("0", "a")), Agent.accepted("0"))
      const first = lookups

      for (let report = 1; report <= 50; report++) {
        const id = String(report)
        assert.deepStrictEqual(yield* Agent.exchange(connection, frame(id, "a")), Agent.accepted(id))
      }

      assert.isAbove(first, 0)
      assert.strictEqual(lookups, first)
    })
  )

  it.effect("returns a defect for the call that died, logs it, and leaves the calls beside it alone [MR-09]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { logs, url } = yield* serve({
        ports: slowBanners(Deferred.await(gate)),
        add: (entries) =>
          entries[0]?.key === "bad" ? Effect.die(new Error("the batcher is broken")) : Effect.succeed(0)
      })
      const connection = yield* Agent.connect(url, showing(token))
      const neighbour = yield* Agent.connect(url, showing(other))

      yield* connection.send(slow("slow"))
      assert.deepStrictEqual(
        yield* Agent.exchange(connection, frame("bad", "bad")),
        Agent.died("bad", { name: "Error", message: "the batcher is broken" })
      )
      for (const healthy of [connection, neighbour]) {
        assert.deepStrictEqual(yield* Agent.exchange(healthy, frame("good", "good")), Agent.accepted("good"))
      }
      yield* Deferred.succeed(gate, undefined)

      assert.deepStrictEqual(JSON.parse(yield* Queue.take(connection.messages)), noBanners("slow"))
      assert.deepStrictEqual(
        logs.filter(({ level }) => level === "Error").map(({ message }) => message),
        ["request died"]
      )
      assert.notInclude(JSON.stringify(logs), "a value")
    })
  )

  it.effect("returns a defect of any call to that call alone, and goes on with the connection [AP-02]", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { logs, url } = yield* serve({
        ports: slowBanners(Deferred.await(gate)),
        add: () => Effect.die("broken")
      })
      const connection = yield* Agent.connect(url, showing(token))
      const call = (tag: Tag, payload: unknown) =>
        Agent.exchange(connection, JSON.stringify({ _tag: "Request", id: tag, tag, payload, headers: [] }))
      // there are no monitors, and that is known
      const {
        GetAnnouncementBanners: _,
        GetServiceBanner: __,
        GetResourcesMonitoringConfiguration,
        PushResourcesMonitoringUsage,
        ...dying
      } = requests()

      yield* connection.send(slow("slow"))
      for (const [tag, payload] of Object.entries(dying) as Array<[Tag, unknown]>) {
        assert.deepInclude(Agent.defect(yield* call(tag, payload)), { requestId: tag })
      }
      for (const alive of [{ GetResourcesMonitoringConfiguration }, { PushResourcesMonitoringUsage }]) {
        const [[tag, payload]] = Object.entries(alive) as [[Tag, unknown]]
        assert.deepNestedInclude(yield* call(tag, payload), { requestId: tag, "exit._tag": "Success" })
      }
      yield* Deferred.succeed(gate, undefined)

      assert.deepStrictEqual(JSON.parse(yield* Queue.take(connection.messages)), noBanners("slow"))
      assert.lengthOf(
        logs.filter(({ message }) => message === "request died"),
        Object.keys(dying).length
      )
    })
  )

  it.effect(
    "rejects a call with the id of one that is running, which goes on, and takes the id when that has ended",
    () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { url } = yield* serve({
          ports: slowBanners(Deferred.await(gate))
        })
        const connection = yield* Agent.connect(url, showing(token))
        const refused = { _tag: "Defect", defect: { name: "Error", message: "a call with the id 1 is running" } }

        yield* connection.send(slow("1"))
        assert.deepStrictEqual(yield* Agent.exchange(connection, frame("1", "again")), refused)
        assert.deepStrictEqual(
          yield* Agent.exchange(connection, `[${frame("2", "any")},${frame("1", "again")}]`),
          refused
        )
        assert.deepStrictEqual(yield* Agent.exchange(connection, frame("2", "any")), Agent.accepted("2"))
        yield* Deferred.succeed(gate, undefined)

        assert.deepStrictEqual(JSON.parse(yield* Queue.take(connection.messages)), noBanners("1"))
        assert.deepStrictEqual(yield* Agent.exchange(connection, frame("1", "again")), Agent.accepted("1"))
      })
  )

  it.effect("interrupts the calls of a connection that ends", () =>
    Effect.gen(function* () {
      const began = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const { url } = yield* serve({
        ports: slowBanners(
          Effect.andThen(Deferred.succeed(began, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
        )
      })
      const connection = yield* Agent.connect(url, showing(token))

      yield* connection.send(slow("1"))
      yield* Deferred.await(began)
      yield* connection.close

      yield* Deferred.await(interrupted)
    })
  )

  it.effect(
    "responds with 503 before any upgrade while tokens cannot be looked up, and with 401 to a request without one",
    () =>
      Effect.gen(function* () {
        const { url } = yield* serve({ store: Fake.layerAway })

        const refused = yield* Effect.flip(Agent.connect(url, showing(token)))
        assert.strictEqual(refused.status, 503)
        assert.deepStrictEqual(JSON.parse(refused.body), {
          _tag: "AccessUnavailable",
          message: "tokens cannot be looked up now"
        })
        assert.strictEqual((yield* Effect.flip(Agent.connect(url))).status, 401)
      })
  )

  it.effect(
    "responds with 503 before any upgrade to an agent whose monitors or connection fail, and logs why [AP-03]",
    () =>
      Effect.gen(function* () {
        const away = Effect.fail(
          new StoreError({ operation: "do that", reason: "unavailable", cause: new Error("as the test wants it") })
        )
        const broken = [
          recording(() => away),
          Layer.merge(layerPorts, Layer.mock(ResourceMonitorStore)({ load: () => away }))
        ]

        for (const ports of broken) {
          const { logs, url } = yield* serve({ ports })
          const refused = yield* Effect.flip(Agent.connect(url, showing(token)))

          assert.strictEqual(refused.status, 503)
          assert.deepStrictEqual(JSON.parse(refused.body), {
            _tag: "SessionUnavailable",
            message: "agents cannot be served now"
          })
          assert.isTrue(
            logs.some(({ level, message }) => level === "Error" && message.includes("agent session not opened"))
          )
          assert.strictEqual(logs.at(-1)?.message, "agent disconnected")
        }
      })
  )

  it.effect("pings between messages, never within one, however large they are [CN-10]", () =>
    Effect.gen(function* () {
      const { url } = yield* serve({
        add: (entries) =>
          entries[0]?.key === "large" ? Effect.die(new Error("x".repeat(3_000_000))) : Effect.succeed(0)
      })
      const connection = yield* Agent.connect(url, showing(token))
      const large = (id: string) => connection.send(frame(id, "large"))
      assert.deepStrictEqual(yield* Agent.exchange(connection, frame("0", "small")), Agent.accepted("0"))

      for (const round of ["1", "2", "3", "4"]) {
        yield* Effect.all([large(`${round}a`), large(`${round}b`)])
        const first = JSON.parse(yield* Queue.take(connection.messages))
        yield* TestClock.adjust("15 seconds")
        const second = JSON.parse(yield* Queue.take(connection.messages))
        yield* Queue.take(connection.pings)

        assert.deepStrictEqual([first.requestId, second.requestId], [`${round}a`, `${round}b`])
        for (const { exit } of [first, second]) assert.lengthOf(exit.cause[0].defect.message, 3_000_000)
        assert.deepStrictEqual(yield* Agent.exchange(connection, frame(round, "small")), Agent.accepted(round))
      }
    })
  )

  it.effect("keeps a connection whose heartbeat dies, and logs why [CN-10]", () =>
    Effect.gen(function* () {
      let recorded = 0
      const { logs, url } = yield* serve({
        ports: recording(({ disconnectedAt, firstConnectedAt, lastConnectedAt }) =>
          disconnectedAt === null && DateTime.isGreaterThan(lastConnectedAt, firstConnectedAt) && recorded++ === 0
            ? Effect.die(new Error("the store is broken"))
            : Effect.succeed("latest")
        )
      })
      const connection = yield* Agent.connect(url, showing(token))
      yield* Agent.exchange(connection, frame("1", "any"))

      yield* TestClock.adjust("31 seconds")

      assert.deepStrictEqual(yield* Agent.exchange(connection, frame("2", "any")), Agent.accepted("2"))
      assert.strictEqual(recorded, 2)
      assert.deepStrictEqual(
        logs.filter(({ level }) => level === "Warn").map(({ message }) => message.split(" {")[0]),
        ["heartbeat of an agent not recorded"]
      )
    })
  )

  it.effect("logs no more than that an agent has left when its connection ends or breaks off [CN-18, AP-04]", () =>
    Effect.gen(function* () {
      const left = yield* Queue.unbounded<void>()
      const { logs, url } = yield* serve({
        ports: recording(({ disconnectedAt }) => {
          if (disconnectedAt !== null) Queue.offerUnsafe(left, undefined)
          return Effect.succeed("latest")
        })
      })
      const [polite, abrupt] = [yield* Agent.connect(url, showing(token)), yield* Agent.connect(url, showing(other))]
      for (const connection of [polite, abrupt]) yield* Agent.exchange(connection, frame("1", "any"))

      yield* polite.close
      abrupt.tcp.destroy()
      yield* Queue.takeN(left, 2)
      const reset = yield* Agent.connect(url, showing(other))
      reset.tcp.resetAndDestroy()
      yield* Queue.take(left)

      // the answer to a close without a code has none either
      assert.strictEqual((yield* polite.closed).code, 1_005)
      assert.deepStrictEqual(
        logs.filter(({ level }) => level !== "Debug"),
        []
      )
    })
  )
})
