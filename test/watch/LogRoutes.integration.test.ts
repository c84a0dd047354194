/** Reading and following what agents of a running service log over the real RPC. */
import { assert, layer } from "@effect/vitest"
import { Effect, Queue, Schema, Stream } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { SqlClient } from "effect/sql"
import { AgentLog, channel } from "../../src/domain/AgentLog.ts"
import { closeCodes } from "../../src/platform/CloseCode.ts"
import { type AgentId, LogSourceId, nil } from "../../src/domain/Ids.ts"
import { PubSub } from "../../src/pubsub/PubSub.ts"
import { currentSubscribers } from "../../src/pubsub/PubSubMetrics.ts"
import { WatchApi } from "../../src/watch/WatchApi.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as Watcher from "../support/watcher.ts"
import * as WebSocket from "../support/webSocket.ts"

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

const decodeLines = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Array(AgentLog)))

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
    /** Waits until lines cannot be read. */
    failure: Effect.flatMap(Effect.repeat(next, { until: ({ event }) => event === "error" }), ({ data, event }) =>
      event === "error" ? Effect.succeed(data) : Effect.die(new Error(event))
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

  it.effect("reads all stored lines, or those after a line and before another [WA-28]", () =>
    Effect.gen(function* () {
      const { headers, id, log } = yield* logging
      assert.deepStrictEqual(yield* read(id, "", headers), [])
      yield* log(...Array.from({ length: 501 }, (_, index) => `${index}`))

      const all = (yield* read(id, "", headers)) as ReadonlyArray<Record<string, unknown>>
      const [last, third] = [all.at(-1)!, all[2]!]
      const rest = (yield* read(id, `?after=${String(all[499]!["id"])}&follow=false`, headers)) as typeof all
      const between = (yield* read(
        id,
        `?after=${String(all[0]!["id"])}&before=${String(third["id"])}`,
        headers
      )) as typeof all

      assert.strictEqual(all.length, 501)
      assert.deepStrictEqual(rest, [last])
      assert.deepStrictEqual(between, [all[1]!])
      assert.deepStrictEqual(Object.keys(last), ["id", "created_at", "level", "output", "source_id"])
      assert.deepInclude(last, { level: "warn", output: "500" })
      assert.match(String(last["created_at"]), /^20\d\d-.+Z$/)
    })
  )

  it.effect("reads stored lines as text, with their colours [WA-29]", () =>
    Effect.gen(function* () {
      const { headers, id, log } = yield* logging
      yield* log("\u001b[31mred\u001b[0m", "two")

      const response = yield* get(id, "?format=text", headers)

      assert.strictEqual(response.headers["content-type"], "text/plain; charset=utf-8")
      const [red, two, end] = (yield* response.text).split("\n")
      assert.match(red!, /^20\d\d-\d\d-\d\dT[\d:.]+Z \[warn\] \[agent\.main\|External\] /)
      assert.isTrue(red!.endsWith("\u001b[31mred\u001b[0m"))
      assert.match(two!, / two$/)
      assert.strictEqual(end, "")
    })
  )

  it.effect("follows over a WebSocket when it asks for one: a list of lines in each message [WA-30]", () =>
    Effect.gen(function* () {
      const { url } = yield* Service.TestService
      const { headers, id, log, start } = yield* logging
      const sql = yield* SqlClient.SqlClient
      const connect = (search: string) =>
        WebSocket.connect(`${url}${Watcher.pathOf(id, `logs?follow=true${search}`)}`, headers)
      const lines = ({ messages }: WebSocket.Connection) =>
        Effect.map(Queue.take(messages), (text) => decodeLines(text).map(({ output }) => output))

      const fresh = yield* connect("")
      assert.deepStrictEqual(yield* lines(fresh), [])
      yield* log("one", "two")
      assert.deepStrictEqual(yield* lines(fresh), ["one", "two"])
      const [one] = (yield* read(id, "", headers)) as ReadonlyArray<{ readonly id: number }>
      const later = yield* connect(`&after=${one!.id}`)
      assert.deepStrictEqual(yield* lines(later), ["two"])
      yield* start
      yield* log("three")
      for (const connection of [fresh, later]) assert.deepStrictEqual(yield* lines(connection), ["three"])

      yield* sql`UPDATE workspace_agents SET deleted = true WHERE id = ${id}`
      assert.strictEqual((yield* fresh.closed).code, closeCodes.forbidden)
    })
  )

  it.effect(
    "gets events with ids if it is a browser, and without for strict readers, unbuffered by proxies [WA-31]",
    () =>
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

        const browser = { accept: "text/event-stream" }
        const [response, text] = yield* first("?follow", browser)
        assert.deepInclude(response.headers, {
          "content-type": "text/event-stream",
          "cache-control": "no-cache",
          "x-accel-buffering": "no"
        })
        const [, last] = /^id: (\d+)\nevent: logs\ndata: \[.*\]\n\nevent: lifecycle$/.exec(text) ?? []
        assert.isDefined(last, text)

        yield* log("two")
        const [, again] = yield* first("?follow=true&after=0", { ...browser, "last-event-id": last! })
        assert.include(again, `"two"`)
        assert.notInclude(again, `"one"`)

        const [, forOthers] = yield* first("?follow")
        assert.match(forOthers, /^event: logs\ndata: \[.*\]\n\nevent: lifecycle$/)
      })
  )

  it.effect("is told once that lines cannot be read, and gets them when they can [FT-60]", () =>
    Effect.gen(function* () {
      const { headers, id, log } = yield* logging
      const { failure, lines } = yield* follow(id, headers)
      const sql = yield* SqlClient.SqlClient
      const pubsub = yield* PubSub
      yield* log("one")
      assert.deepStrictEqual(yield* lines, ["one"])

      yield* sql`ALTER TABLE workspace_agent_logs RENAME TO away`
      yield* pubsub.publish(channel(id), `{"created_after":0}`)
      const told = yield* Effect.ensuring(failure, Effect.orDie(sql`ALTER TABLE away RENAME TO workspace_agent_logs`))
      assert.deepStrictEqual(told, { message: "logs cannot be read", detail: "cannot read the logs of an agent" })

      yield* log("two")
      assert.deepStrictEqual(yield* lines, ["two"])
    })
  )

  it.effect("is the owner or an administrator, and nobody else", () =>
    Effect.gen(function* () {
      const { headers, id } = yield* logging
      const { logged } = yield* Service.TestService
      const admin = yield* People.user({ isAdmin: true })
      const stranger = yield* People.user()
      const status = Effect.fnUntraced(function* (headers: Readonly<Record<string, string>>, search = "") {
        const client = HttpClient.withScope(yield* HttpClient.HttpClient)
        const request = client.get(Watcher.pathOf(id, `logs${search}`), { headers })
        const { status } = yield* Effect.scoped(request)
        // the end of a watch is part of this test, not of one after it
        if (status === 200 && search.includes("follow")) yield* logged("log watcher left", id)
        return status
      })

      for (const search of ["", "?follow", "?follow&format=json"]) {
        assert.strictEqual(yield* status(headers, search), 200)
        assert.strictEqual(yield* status(People.bearer(admin.token), search), 200)
        assert.strictEqual(yield* status(People.showing(stranger.token), search), 404)
        assert.strictEqual(yield* status({}, search), 401)
      }
      for (const search of [
        "?after=-1",
        "?after=x",
        "?after=1.5",
        "?after=%201",
        "?before=1e9",
        "?before=0x10",
        "?before=x",
        "?follow=perhaps",
        "?format=xml",
        "?follow&format=text",
        "?follow&before=7"
      ]) {
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
