/** The two lanes of reports: the same frames, over real WebSockets, where calls are traced and where they are not. */
import { assert, describe, it } from "@effect/vitest"
import { type Context, Deferred, Effect, identity, Queue, Tracer } from "effect"
import * as Agent from "../support/agent.ts"
import { serve, token } from "../support/agentServer.ts"
import { showing } from "../support/directory.ts"

const lanes = { traced: true, untraced: false } as const

/** An agent of a server whose batcher keeps what is called `slow` until it may go on, and dies of what is called `bad`. */
const start = Effect.fnUntraced(function* (isTraced: boolean) {
  const taken: Array<string> = []
  const contexts: Array<Context.Context<never>> = []
  const began = yield* Queue.unbounded<string>()
  const interrupted = yield* Queue.unbounded<string>()
  const gate = yield* Deferred.make<void>()
  const { logs, url } = yield* serve({
    add: (entries) => {
      const key = entries[0]?.key ?? ""
      taken.push(...entries.map(({ key, value }) => `${key}=${value}`))
      if (key === "bad") return Effect.die(new Error("the batcher is broken"))
      if (key !== "slow")
        return Effect.contextWith((context) => {
          contexts.push(context)
          return Effect.succeed(0)
        })
      Queue.offerUnsafe(began, key)
      return Effect.as(Deferred.await(gate), 0).pipe(
        Effect.onInterrupt(() => Effect.sync(() => Queue.offerUnsafe(interrupted, key)))
      )
    }
  }).pipe(isTraced ? Effect.provideService(Tracer.Tracer, Tracer.nativeTracer) : identity)
  const connection = yield* Agent.connect(url, showing(token))
  return {
    began: Queue.take(began),
    connection,
    contexts,
    goOn: Deferred.succeed(gate, undefined),
    interrupted: Queue.take(interrupted),
    logs,
    taken
  }
})

const call = (id: unknown, payload: unknown, rest: object = {}) =>
  JSON.stringify({ _tag: "Request", id, tag: "BatchUpdateMetadata", payload, headers: [], ...rest })

const report = (id: unknown, key: string, rest?: object) =>
  call(id, { metadata: [Agent.sample(key, `of ${String(id)}`)] }, rest)

/** Everything that becomes of reports at once, and how many messages answer it. */
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
  [`[${report("l1", "good")},${report("l2", "bad")},${report("l3", "good")}]`, 3],
  [`[${report("twice", "good")},${report("twice", "good")}]`, 1],
  [report({}, "good"), 1],
  [report("n", "good", { isNotification: true }), 0],
  [report("nobody", "bad", { isNotification: true }), 0],
  [report("discarded", "good", { discard: true }), 1],
  ['{"_tag":"Ping"}', 1]
]

describe("a report", () => {
  it.effect("has the same answer, effect and log whether it is traced or not", () =>
    Effect.gen(function* () {
      const outcome = Effect.fnUntraced(function* (isTraced: boolean) {
        const { connection, logs, taken } = yield* start(isTraced)
        const answers: Array<string> = []
        for (const [frame, count] of frames) {
          yield* connection.send(frame)
          answers.push(...(yield* Effect.replicateEffect(Queue.take(connection.messages), count)))
        }
        return { answers, taken, logs: logs.map(({ level, message }) => [level, message]) }
      })
      const { traced, untraced } = yield* Effect.all({ traced: outcome(true), untraced: outcome(false) })

      assert.deepStrictEqual(untraced, traced)
      assert.deepStrictEqual(JSON.parse(untraced.answers[0]!), Agent.accepted("1"))
      assert.include(untraced.taken, "good=of 2")
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

  for (const [lane, isTraced] of Object.entries(lanes)) {
    it.effect(`that is not over leaves those behind it alone, and keeps its id until it is: ${lane}`, () =>
      Effect.gen(function* () {
        const { began, connection, goOn } = yield* start(isTraced)

        yield* connection.send(report("1", "slow"))
        yield* began
        assert.deepStrictEqual(yield* Agent.exchange(connection, report("2", "good")), Agent.accepted("2"))
        assert.deepStrictEqual(yield* Agent.exchange(connection, report("1", "good")), {
          _tag: "Defect",
          defect: { name: "Error", message: "A call with the id 1 is running" }
        })
        yield* goOn

        assert.deepStrictEqual(JSON.parse(yield* Queue.take(connection.messages)), Agent.accepted("1"))
        assert.deepStrictEqual(yield* Agent.exchange(connection, report("1", "good")), Agent.accepted("1"))
      })
    )

    it.effect(`ends when the agent gives it up, which is the answer: ${lane}`, () =>
      Effect.gen(function* () {
        const { began, connection, interrupted } = yield* start(isTraced)

        yield* connection.send(report("1", "slow"))
        yield* began
        const answer = yield* Agent.exchange(connection, '{"_tag":"Interrupt","requestId":"1"}')
        yield* interrupted

        assert.deepNestedInclude(answer, { requestId: "1", "exit._tag": "Failure", "exit.cause[0]._tag": "Interrupt" })
        assert.deepStrictEqual(yield* Agent.exchange(connection, report("1", "good")), Agent.accepted("1"))
      })
    )

    it.effect(`ends with its connection: ${lane}`, () =>
      Effect.gen(function* () {
        const { began, connection, interrupted } = yield* start(isTraced)

        yield* connection.send(report("1", "slow"))
        yield* began
        connection.tcp.destroy()

        yield* interrupted
      })
    )
  }
})
