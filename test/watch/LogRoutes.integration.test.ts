/** Reading and following what agents of a running service log over the real RPC. */
import { assert, layer } from "@effect/vitest"
import { Effect, Queue, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { type AgentId, LogSourceId, nil } from "../../src/domain/Ids.ts"
import { currentSubscribers } from "../../src/pubsub/PubSubMetrics.ts"
import { WatchApi } from "../../src/watch/WatchApi.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as Watcher from "../support/watcher.ts"

/** An agent that can log, with the headers of its owner. */
const logging = Effect.gen(function* () {
  const { url } = yield* Service.TestService
  const { id, owner, token } = yield* People.agent()
  const { BatchCreateLogs, UpdateLifecycle } = yield* Agent.client(url, People.showing(token))
  return {
    id,
    headers: People.showing(owner.token),
    start: UpdateLifecycle({ lifecycle: { state: "starting" } }),
    log: (...outputs: ReadonlyArray<string>) =>
      BatchCreateLogs({
        log_source_id: LogSourceId.make(nil),
        logs: outputs.map((output) => ({ output, level: "warn" }))
      })
  }
})

const get = (id: string, search: string, headers: Readonly<Record<string, string>>) =>
  HttpClient.get(Watcher.pathOf(id, `logs${search}`), { headers })

const read = (id: string, search: string, headers: Readonly<Record<string, string>>) =>
  Effect.flatMap(get(id, search, headers), ({ json }) => json)

/** The events of a watch through the client of the contract. */
const follow = Effect.fnUntraced(function* (id: AgentId, headers: Readonly<Record<string, string>>) {
  const { watch } = yield* HttpApiClient.make(WatchApi, {
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(headers))
  })
  const answer = yield* watch.logs({ params: { agent: id }, query: { follow: "" }, headers: {} })
  if (!Stream.isStream(answer)) return assert.fail("no stream")
  const events = yield* Queue.unbounded<Stream.Success<typeof answer>>()
  yield* Effect.forkScoped(Stream.runForEach(answer, (event) => Queue.offer(events, event)))
  const next = Queue.take(events)
  return {
    /** The lines of the next event that has some. */
    lines: Effect.map(Effect.repeat(next, { until: ({ event }) => event === "logs" }), (event) =>
      event.event === "logs" ? event.data.map(({ output }) => output) : []
    ),
    /** Waits until the agent is in a state. */
    state: (state: string) =>
      Effect.repeat(next, { until: (event) => event.event === "lifecycle" && event.data.state === state })
  }
})

layer(Service.layer, { excludeTestServices: true })("a watcher of logs", (it) => {
  it.effect("sees what an agent has logged, what it logs then, and how far it comes", () =>
    Effect.gen(function* () {
      const { headers, id, log, start } = yield* logging
      yield* log("one", "two")

      const { lines, state } = yield* follow(id, headers)
      assert.deepStrictEqual(yield* lines, ["one", "two"])
      yield* state("created")
      for (const line of ["three", "four", "five"]) {
        yield* log(line)
        assert.deepStrictEqual(yield* lines, [line])
      }
      yield* start
      yield* state("starting")
    })
  )

  it.effect("reads pages, each behind the last line of the one before", () =>
    Effect.gen(function* () {
      const { headers, id, log } = yield* logging
      yield* log(...Array.from({ length: 501 }, (_, index) => `${index}`))

      const page = (yield* read(id, "", headers)) as ReadonlyArray<Record<string, unknown>>
      const rest = (yield* read(id, `?after=${String(page.at(-1)!["id"])}&follow=false`, headers)) as typeof page

      assert.deepStrictEqual([page.length, rest.length], [500, 1])
      assert.deepStrictEqual(Object.keys(rest[0]!), ["id", "created_at", "level", "output", "source_id"])
      assert.deepInclude(rest[0]!, { level: "warn", output: "500" })
      assert.match(String(rest[0]!["created_at"]), /^20\d\d-.+Z$/)
    })
  )

  it.effect("gets events that browsers understand and go on with, and that proxies do not hold back", () =>
    Effect.gen(function* () {
      const { headers, id, log } = yield* logging
      yield* log("one")
      const first = (search: string, more: Readonly<Record<string, string>> = {}) =>
        Effect.flatMap(get(id, search, { ...headers, ...more }), (response) =>
          Effect.map(
            response.stream.pipe(
              Stream.decodeText,
              Stream.splitLines,
              Stream.takeUntil((line) => line === "event: lifecycle"),
              Stream.intersperse("\n"),
              Stream.mkString
            ),
            (text) => [response, text] as const
          )
        )

      const [response, text] = yield* first("?follow")
      assert.deepInclude(response.headers, {
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        "x-accel-buffering": "no"
      })
      const [, last] = /^id: (\d+)\nevent: logs\ndata: \[.*\]\n\nevent: lifecycle$/.exec(text) ?? []
      assert.isDefined(last, text)

      yield* log("two")
      const [, again] = yield* first("?follow=true&after=0", { "last-event-id": last! })
      assert.include(again, `"two"`)
      assert.notInclude(again, `"one"`)
    })
  )

  it.effect("is the owner or an administrator, and nobody else", () =>
    Effect.gen(function* () {
      const { headers, id } = yield* logging
      const admin = yield* People.user({ isAdmin: true })
      const stranger = yield* People.user()
      const status = (headers: Readonly<Record<string, string>>, search = "") =>
        Effect.map(get(id, search, headers), ({ status }) => status)

      for (const search of ["", "?follow"]) {
        assert.strictEqual(yield* status(headers, search), 200)
        assert.strictEqual(yield* status(People.bearer(admin.token), search), 200)
        assert.strictEqual(yield* status(People.showing(stranger.token), search), 404)
        assert.strictEqual(yield* status({}, search), 401)
      }
      for (const search of ["?after=-1", "?after=x", "?after=1.5", "?follow=perhaps"]) {
        assert.strictEqual(yield* status(headers, search), 400, search)
      }
    })
  )

  it.effect("is unsubscribed when it leaves", () =>
    Effect.gen(function* () {
      const { logged, metric } = yield* Service.TestService
      const { headers, id } = yield* logging
      const before = metric(currentSubscribers).value

      yield* Effect.scoped(
        Effect.gen(function* () {
          const { state } = yield* follow(id, headers)
          yield* state("created")
          assert.strictEqual(metric(currentSubscribers).value, before + 2)
        })
      )

      yield* logged("log watcher left", id)
      assert.strictEqual(metric(currentSubscribers).value, before)
    })
  )
})
