/** The connections of watches, under the test clock: pings, close codes, and clients that take or send nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Queue, Stream } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import * as Http from "node:http"

import { showing } from "../support/directory.ts"
import { agent } from "../support/metadataBatcher.ts"
import * as Service from "../support/service.ts"
import { announce, behind, metadata, token, unavailable } from "../support/watchRoutes.ts"
import * as Watcher from "../support/watcher.ts"
import * as WebSocket from "../support/webSocket.ts"

const seconds = (count: number) => Effect.replicateEffect(TestClock.adjust("1 second"), count)

describe("a ping by server-sent events", () => {
  it.effect("is its event line and a blank line, without data, id or comment [WA-24]", () =>
    behind(() =>
      Effect.gen(function* () {
        const response = yield* HttpClient.get(Watcher.pathOf(agent(1), "watch-metadata"), { headers: showing(token) })
        const text = yield* Queue.unbounded<string>()
        yield* response.stream.pipe(
          Stream.decodeText,
          Stream.runForEach((chunk) => Queue.offer(text, chunk)),
          Effect.ignore,
          Effect.forkScoped
        )

        yield* Queue.take(text)
        for (const pause of [1, 5, 5]) {
          yield* seconds(pause)
          yield* Queue.take(text)
        }
        yield* seconds(4)

        assert.strictEqual(yield* Queue.take(text), "event: ping\n\n")
      })
    )
  )
})

describe("a watch of logs by server-sent events", () => {
  it.effect("pings by an event line alone every fifteen seconds, also without accepted types [WA-31]", () =>
    behind(() =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        const address = `${url}${Watcher.pathOf(agent(1), "logs?follow")}`
        const text = yield* Queue.unbounded<string>()
        yield* Effect.acquireRelease(
          Effect.callback<Http.IncomingMessage>((resume) => {
            // a request without the header of accepted types
            Http.get(address, { headers: showing(token) }, (response) => {
              response.on("data", (chunk) => Queue.offerUnsafe(text, String(chunk)))
              resume(Effect.succeed(response))
            })
          }),
          (response) => Effect.sync(() => response.destroy())
        )

        const lifecycle = JSON.stringify({ state: "created", started_at: null, ready_at: null })
        assert.strictEqual(yield* Queue.take(text), `event: lifecycle\ndata: ${lifecycle}\n\n`)
        for (const _ of [1, 2]) {
          yield* seconds(15)
          assert.strictEqual(yield* Queue.take(text), "event: ping\n\n")
        }
      })
    )
  )
})

describe("the close code of a WebSocket", () => {
  const connect = Effect.gen(function* () {
    const { url } = yield* Service.TestService
    const address = `${url}${Watcher.pathOf(agent(1), "watch-metadata-ws")}`
    const connection = yield* WebSocket.connect(address, showing(token), { answersPings: false })
    yield* Queue.take(connection.messages)
    return connection
  })

  it.effect("is 1012 when the service stops [WA-25]", () =>
    behind((_, stop) =>
      Effect.gen(function* () {
        const { closed } = yield* connect

        yield* stop

        assert.strictEqual((yield* closed).code, 1012)
      })
    )
  )

  it.effect("is 1008 when the agent is gone whose logs it follows [WA-30]", () =>
    behind((world) =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        const address = `${url}${Watcher.pathOf(agent(1), "logs?follow")}`
        const { closed, messages } = yield* WebSocket.connect(address, showing(token))
        assert.strictEqual(yield* Queue.take(messages), "[]")

        world.logger.lifecycle = Option.none()
        yield* seconds(16)

        assert.strictEqual((yield* closed).code, 1008)
      })
    )
  )

  it.effect("is 1011 when the watch fails [WA-26]", () =>
    behind((world) =>
      Effect.gen(function* () {
        const { closed } = yield* connect
        world.reading = unavailable
        yield* announce
        yield* seconds(1)

        assert.strictEqual((yield* closed).code, 1011)
      })
    )
  )

  it.effect("is that of a lost connection when the client is silent for three pings [FT-34]", () =>
    behind((world) =>
      Effect.gen(function* () {
        const { closed, pings } = yield* connect
        yield* seconds(15)
        yield* Queue.take(pings)

        yield* seconds(45)

        assert.strictEqual((yield* closed).code, 1011)
        const { logged } = yield* Service.TestService
        assert.include(yield* logged("connection of a watcher ended"), "DEBUG")
        yield* world.left
        assert.strictEqual(world.subscribed, 0)
      })
    )
  )

  it.effect("does not come for a client that responds to its pings", () =>
    behind(() =>
      Effect.gen(function* () {
        const { messages, pings, pong } = yield* connect
        for (let round = 0; round < 4; round++) {
          yield* seconds(15)
          yield* Queue.take(pings)
          yield* pong
          // everything before the response has been read when a later message is there
          yield* seconds(5)
          yield* Effect.repeat(Queue.take(messages), { until: (text) => text.includes("ping") })
        }
        yield* seconds(5)
        yield* Queue.take(messages)
      })
    )
  )
})

/** Lists so long that the network does not take many of them. */
const long = (text: string) => Array.from({ length: 100 }, (_, index) => metadata(`key-${index}`, text.repeat(65_000)))

const changeEverySecond = (count: number) =>
  Effect.replicateEffect(Effect.andThen(announce, TestClock.adjust("1 second")), count)

describe("a watcher that takes nothing", () => {
  it.effect("costs a few reads over a WebSocket, however much changes, and has the newest list in the end", () =>
    behind((world) =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        world.rows = long("a")
        const address = `${url}${Watcher.pathOf(agent(1), "watch-metadata-ws")}`
        const { messages, tcp } = yield* WebSocket.connect(address, showing(token))
        yield* Queue.take(messages)
        tcp.pause()

        yield* changeEverySecond(30)
        assert.isBelow(world.reads, 10)

        world.rows = long("b")
        tcp.resume()
        const next = Effect.map(Queue.take(messages), (text) => text.includes('"value":"bbb'))
        yield* Effect.repeat(Effect.andThen(changeEverySecond(1), next), { until: (isNewest) => isNewest })
      })
    )
  )

  it.effect("costs a few reads by server-sent events, however much changes", () =>
    behind((world) =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        world.rows = long("a")
        const address = `${url}${Watcher.pathOf(agent(1), "watch-metadata")}`
        yield* Effect.acquireRelease(
          Effect.callback<Http.IncomingMessage>((resume) => {
            Http.get(address, { headers: showing(token) }, (response) => resume(Effect.succeed(response.pause())))
          }),
          (response) => Effect.sync(() => response.destroy())
        )

        yield* changeEverySecond(30)

        assert.isBelow(world.reads, 10)
      })
    )
  )
})
