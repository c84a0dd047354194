/** The addresses of the tailnet over ports that the test speaks for, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Queue } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { AccessStore } from "../../src/access/AccessStore.ts"
import { StoreError } from "../../src/domain/StoreError.ts"
import { PeerId, toBytes } from "../../src/tailnet/Peer.ts"
import { ResumeKeyStore } from "../../src/tailnet/ResumeKeyStore.ts"
import * as WireMetrics from "../../src/wire/WireMetrics.ts"
import * as Fake from "../support/accessStore.ts"
import { showing } from "../support/directory.ts"
import { agent } from "../support/metadataBatcher.ts"
import * as Service from "../support/service.ts"
import { behindWith, owner, token } from "../support/watchRoutes.ts"
import * as WebSocket from "../support/webSocket.ts"
import { Flag, frame, Type } from "../wire/support.ts"
import { newPeerId } from "./support.ts"
import * as WireClient from "./wireClient.ts"

const away = Effect.fail(new StoreError({ operation: "read", reason: "unavailable", cause: "away" }))

/** A service whose stores can be away. */
const served = Effect.fnUntraced(function* <A, E, R>(
  body: (state: { isAway: boolean }) => Effect.Effect<A, E, R>,
  environment: Readonly<Record<string, string>> = {}
) {
  const state = { isAway: false }
  const unlessAway = <B, F>(self: Effect.Effect<B, F>) =>
    Effect.suspend((): Effect.Effect<B, F | StoreError> => (state.isAway ? away : self))
  const stores = Layer.merge(
    Layer.effect(
      AccessStore,
      AccessStore.useSync((store) => ({ ...store, ownerships: (ids) => unlessAway(store.ownerships(ids)) }))
    ).pipe(Layer.provide(Fake.layer({ users: [[token, owner]], owners: [[agent(1), owner.id]] }))),
    Layer.succeed(ResumeKeyStore, { keys: () => unlessAway(Effect.succeed([])), add: () => Effect.void })
  )
  return yield* behindWith(stores, environment)(() => body(state))
})

const all = "/api/v2/tailnet"
const relays = "/api/v2/derp-map"

/** A connection that serves, to all agents of the user or to the relays. */
const connect = Effect.fnUntraced(function* (path: string) {
  const { url } = yield* Service.TestService
  const connection = yield* WebSocket.connect(`${url}${path}`, showing(token), { answersPings: false })
  if (path !== relays) yield* connection.send(frame(Type.ping, Flag.syn, 0, 1))
  yield* Queue.take(connection.messages)
  return connection
})

const dial = Effect.fnUntraced(function* (path: string) {
  const { url } = yield* Service.TestService
  return yield* WireClient.connect(`${url}${path}`, showing(token))
})

const seconds = (count: number) => Effect.replicateEffect(TestClock.adjust("1 second"), count)

describe("a connection of the tailnet", () => {
  for (const [name, path] of [
    ["coordinates", all],
    ["follows relays", relays]
  ] as const) {
    it.effect(`that ${name} is pinged every 15 seconds, and closed with 1011 after 30 without a pong`, () =>
      served(() =>
        Effect.gen(function* () {
          const { closed, messages, pings, pong, send } = yield* connect(path)
          const { logged } = yield* Service.TestService
          yield* seconds(15)
          yield* Queue.take(pings)
          if (path !== relays) {
            yield* pong
            // the pong was read when this has its response
            yield* send(frame(Type.ping, Flag.syn, 0, 2))
            yield* Queue.take(messages)
            yield* seconds(15)
            yield* Queue.take(pings)
          }
          yield* seconds(30)

          assert.strictEqual((yield* closed).code, 1011)
          assert.include(
            yield* logged(path === relays ? "a reader of relays ended" : "a tailnet client ended"),
            "DEBUG"
          )
        })
      )
    )
  }

  it.effect("that sends malformed frames is counted, and closed with 1002", () =>
    served(() =>
      Effect.gen(function* () {
        const { metric } = yield* Service.TestService
        const { closed, tcp } = yield* connect(all)

        tcp.write(Buffer.from([0xff, 0xff]))

        assert.strictEqual((yield* closed).code, 1002)
        const counted = Metric.withAttributes(WireMetrics.violations, {
          scope: "connection",
          reason: "malformed frame"
        })
        assert.strictEqual(metric(counted).count, 1)
      })
    )
  )
})

describe("a client of the tailnet", () => {
  it.effect("gets 426 without a WebSocket, with what it connects by", () =>
    served(() =>
      Effect.gen(function* () {
        const http = yield* HttpClient.HttpClient
        for (const [path, text] of [
          [all, "clients of the tailnet connect by WebSocket"],
          [`/api/v2/workspaceagents/${agent(1)}/coordinate?version=2.0`, "clients of the tailnet connect by WebSocket"],
          [relays, "the DERP map is followed by WebSocket"]
        ] as const) {
          const response = yield* http.execute(HttpClientRequest.get(path, { headers: showing(token) }))
          assert.strictEqual(response.status, 426)
          assert.include(yield* response.text, text)
        }
      })
    )
  )

  it.effect("opens no tunnel while rights cannot be looked up, and is told so", () =>
    served((state) =>
      Effect.gen(function* () {
        const tunnelTo = (id: PeerId) =>
          Effect.gen(function* () {
            const client = yield* dial(all)
            yield* client.coordinate({ addTunnel: { id: toBytes(id) } })
            return (yield* client.next).error
          })
        assert.strictEqual(
          yield* tunnelTo(newPeerId()),
          "authorization: workspace agent not found or you do not have permission"
        )
        state.isAway = true
        assert.strictEqual(yield* tunnelTo(PeerId.make(agent(1))), "authorization: agents cannot be looked up now")
      })
    )
  )

  it.effect("is a new peer while resume tokens cannot be checked, with a warning, and without a token", () =>
    served((state) =>
      Effect.gen(function* () {
        const { logged } = yield* Service.TestService
        const json = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
        const resume = `${json({ alg: "HS512", kid: newPeerId() })}.${json({ sub: newPeerId(), exp: 9e9 })}.abcd`
        yield* connect(`${all}?resume_token=`)

        state.isAway = true
        yield* connect(`${all}?resume_token=${resume}`)
        assert.include(yield* logged("resume tokens cannot be checked"), "WARN")
        state.isAway = false
        const { url } = yield* Service.TestService
        const refused = yield* Effect.flip(WebSocket.connect(`${url}${all}?resume_token=${resume}`, showing(token)))
        assert.strictEqual(refused.status, 401)
        assert.include(refused.body, "the resume token is not valid: unknown key")
      })
    )
  )

  it.effect("is told to use relays alone, and by WebSocket, where that is set [TU-17]", () =>
    served(
      () =>
        Effect.gen(function* () {
          const http = yield* HttpClient.HttpClient
          const request = HttpClientRequest.get("/api/v2/workspaceagents/connection", { headers: showing(token) })
          const response = yield* http.execute(request)

          assert.deepStrictEqual(yield* response.json, {
            derp_map: { Regions: {} },
            derp_force_websockets: true,
            disable_direct_connections: true
          })
        }),
      { DISABLE_DIRECT_CONNECTIONS: "true", DERP_FORCE_WEBSOCKETS: "true" }
    )
  )
})
