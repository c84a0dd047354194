/** The two paths of reports, and the pace of calls: the same frames over real WebSockets, traced and not traced. */
import { assert, describe, it } from "@effect/vitest"
import { type Context, Effect, Fiber, identity, Layer, Queue, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { SiteConfigs } from "../../src/agentapi/ports/SiteConfigs.ts"
import * as FailureMetrics from "../../src/telemetry/FailureMetrics.ts"
import * as Agent from "../support/agent.ts"
import { layerPorts } from "../support/agentApi.ts"
import { serve, token, slowCalls } from "../support/agentServer.ts"
import { showing } from "../support/directory.ts"

/**
 * An agent of a server whose batcher dies of the key `bad`, and whose banners are read when the gate opens.
 */
const start = Effect.fnUntraced(function* (isTraced: boolean) {
  const taken: Array<string> = []
  const deaths: Array<string> = []
  const contexts: Array<Context.Context<never>> = []
  const { ports, ...calls } = yield* slowCalls()
  const { logs, url } = yield* serve({
    ports,
    add: (entries) => {
      const key = entries[0]?.key ?? ""
      if (key === "bad") {
        deaths.push(...entries.map(({ value }) => value))
        return Effect.die(new Error("the batcher is broken"))
      }
      taken.push(...entries.map(({ key, value }) => `${key}=${value}`))
      return Effect.contextWith((context) => {
        contexts.push(context)
        return Effect.succeed(key === "no room" ? 1 : 0)
      })
    }
  }).pipe(isTraced ? Effect.provideService(Tracer.Tracer, Tracer.nativeTracer) : identity)
  const connection = yield* Agent.connect(url, showing(token))
  return { ...calls, connection, contexts, deaths, logs, taken }
})

const call = (id: unknown, payload: unknown, rest: object = {}) =>
  JSON.stringify({ _tag: "Request", id, tag: "BatchUpdateMetadata", payload, headers: [], ...rest })

const report = (id: unknown, key: string, rest?: object) =>
  call(id, { metadata: [Agent.sample(key, `of ${String(id)}`)] }, rest)

/** A call that runs until the gate opens. */
const slow = (id: unknown) => call(id, {}, { tag: "GetAnnouncementBanners" })

const noBanners = (id: string) => ({
  _tag: "Exit",
  requestId: id,
  exit: { _tag: "Success", value: { announcement_banners: [] } }
})

/** Reports with every outcome, and how many messages are the reply to each. */
const frames: ReadonlyArray<readonly [frame: string, answers: number]> = [
  [report("1", "good"), 1],
  [report("1", "good"), 1],
  [report(2, "good"), 1],
  [report('a "quoted" id', "good"), 1],
  [report("trace", "good", { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true }), 1],
  [call("empty", {}), 1],
  [call("more", { metadata: [], version: 3 }), 1],
  [call("too long", { metadata: [Agent.sample("kept", "1"), Agent.sample("k".repeat(6_145))] }), 1],
  [call("wrong", { metadata: [{ key: 5 }] }), 1],
  [call("none", null), 1],
  [report("died", "bad"), 1],
  [report("dropped", "no room"), 1],
  [`[${report("l1", "good")},${report("l2", "bad")},${report("l3", "good")}]`, 3],
  [`[${report("twice", "good")},${report("twice", "good")}]`, 1],
  [report({}, "good"), 1],
  [report("n", "good", { isNotification: true }), 0],
  [report("nobody", "bad", { isNotification: true }), 0],
  [report("discarded", "good", { discard: true }), 1],
  ['{"_tag":"Ping"}', 1]
]

describe("a report", () => {
  it.effect("has the same reply, effect and log whether it is traced or not, and says what was dropped [FT-72]", () =>
    Effect.gen(function* () {
      const outcome = Effect.fnUntraced(function* (isTraced: boolean) {
        const failures = Effect.map(Effect.context<never>(), (context) => FailureMetrics.totals(context).calls)
        const before = yield* failures
        const { connection, deaths, logs, taken } = yield* start(isTraced)
        const answers: Array<string> = []
        for (const [frame, count] of frames) {
          yield* connection.send(frame)
          answers.push(...(yield* Effect.replicateEffect(Queue.take(connection.messages), count)))
        }
        const failed = (yield* failures) - before
        return { answers, deaths, failed, taken, logs: logs.map(({ level, message }) => [level, message]) }
      })
      const { traced, untraced } = yield* Effect.all({ traced: outcome(true), untraced: outcome(false) })

      assert.deepStrictEqual(untraced, traced)
      assert.deepStrictEqual(JSON.parse(untraced.answers[0]!), Agent.accepted("1"))
      assert.include(untraced.taken, "good=of 2")
      assert.isTrue(
        untraced.answers.some((answer) => answer.includes('"exit":{"_tag":"Success","value":{"dropped":1}}')),
        "the caller does not learn of a drop"
      )
      // each was added once, although the batcher died of it
      assert.deepStrictEqual(untraced.deaths, ["of died", "of l2", "of nobody"])
      assert.strictEqual(untraced.failed, 4)
    })
  )

  it.effect("has no context made for it where nothing is traced", () =>
    Effect.gen(function* () {
      const { connection, contexts } = yield* start(false)

      yield* Agent.exchange(connection, report("1", "good"))
      yield* Agent.exchange(connection, report("2", "good"))

      assert.lengthOf(contexts, 2)
      assert.strictEqual(contexts[0], contexts[1])
    })
  )
})

describe("a call", () => {
  it.effect("does not hold up later messages, and keeps its id until it ends", () =>
    Effect.gen(function* () {
      const { began, connection, goOn } = yield* start(false)

      yield* connection.send(slow("1"))
      yield* began
      assert.deepStrictEqual(yield* Agent.exchange(connection, report("2", "good")), Agent.accepted("2"))
      assert.deepStrictEqual(yield* Agent.exchange(connection, report("1", "good")), {
        _tag: "Defect",
        defect: { name: "Error", message: "a call with the id 1 is running" }
      })
      yield* goOn

      assert.deepStrictEqual(JSON.parse(yield* Queue.take(connection.messages)), noBanners("1"))
      assert.deepStrictEqual(yield* Agent.exchange(connection, report("1", "good")), Agent.accepted("1"))
    })
  )

  it.effect("ends when the agent interrupts it, and the reply says so", () =>
    Effect.gen(function* () {
      const { began, connection, interrupted } = yield* start(false)

      yield* connection.send(slow("1"))
      yield* began
      const reply = yield* Agent.exchange(connection, '{"_tag":"Interrupt","requestId":"1"}')
      yield* interrupted

      assert.deepNestedInclude(reply, { requestId: "1", "exit._tag": "Failure", "exit.cause[0]._tag": "Interrupt" })
      assert.deepStrictEqual(yield* Agent.exchange(connection, report("1", "good")), Agent.accepted("1"))
    })
  )

  it.effect("ends with its connection", () =>
    Effect.gen(function* () {
      const { began, connection, interrupted } = yield* start(false)

      yield* connection.send(slow("1"))
      yield* began
      connection.tcp.destroy()

      yield* interrupted
    })
  )

  it.effect.each([
    ["whatever it asks for", (ids) => [`[${ids.map(slow).join()}]`]],
    ["and so does a frame that holds none", (ids) => ids.flatMap((id) => (id === "0" ? ["[]"] : ["{"]))]
  ] satisfies ReadonlyArray<[string, (ids: ReadonlyArray<string>) => ReadonlyArray<string>]>)(
    "counts against the call rate of its agent, %s",
    ([, framesOf]) =>
      Effect.gen(function* () {
        const { url } = yield* serve({
          ports: Layer.merge(layerPorts, Layer.mock(SiteConfigs)({ announcementBanners: Effect.succeed([]) })),
          routes: { agentMaxCallRate: 10 }
        })
        const connection = yield* Agent.connect(url, showing(token))
        const frames = framesOf(Array.from({ length: 11 }, (_, id) => String(id)))
        for (const frame of frames) yield* connection.send(frame)
        yield* Queue.takeN(connection.messages, frames.length === 1 ? 11 : 10)

        const behind = yield* Effect.forkScoped(Agent.exchange(connection, report("behind", "good")))
        for (const millis of [0, 99]) {
          yield* TestClock.adjust(millis)
          yield* Effect.replicateEffect(Effect.yieldNow, 100)
          assert.isUndefined(behind.pollUnsafe())
        }
        yield* TestClock.adjust(1)

        assert.deepStrictEqual(yield* Fiber.join(behind), Agent.accepted("behind"))
      })
  )

  it.effect("runs beside at most 15 others of its connection, however many calls one frame has [FT-02]", () =>
    Effect.gen(function* () {
      const { began, connection, goOn, running } = yield* start(false)
      const count = 40_000

      yield* connection.send(`[${Array.from({ length: count }, (_, id) => slow(String(id))).join()}]`)
      yield* Effect.replicateEffect(began, 16)
      // a frame behind is not read either
      yield* connection.send(report("after", "good"))
      const waiting = yield* Effect.forkScoped(began, { startImmediately: true })
      yield* Effect.replicateEffect(Effect.yieldNow, 100)
      assert.isUndefined(waiting.pollUnsafe())
      assert.strictEqual(running.now, 16)
      yield* goOn

      const replies = yield* Queue.takeN(connection.messages, count + 1)
      assert.strictEqual(running.most, 16)
      assert.deepStrictEqual(JSON.parse(replies.at(-1)!), Agent.accepted("after"))
    })
  )
})
