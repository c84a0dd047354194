/** The close code that each kind of client sees on its WebSocket, for each reason, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { subprotocol } from "../../src/agentapi/AgentSocketApi.ts"
import * as Revocations from "../../src/access/Revocations.ts"
import { closeCodes, type CloseReason } from "../../src/platform/CloseCode.ts"
import { closeAtEnd } from "../../src/platform/RequestSocket.ts"
import * as PubSub from "../../src/pubsub/PubSub.ts"
import * as SessionEnd from "../../src/wire/SessionEnd.ts"
import { showing } from "../support/directory.ts"
import { serveRoutes } from "../support/localServer.ts"
import { agent } from "../support/metadataBatcher.ts"
import * as Service from "../support/service.ts"
import { agentToken, behind, owner, token } from "../support/watchRoutes.ts"
import * as Watcher from "../support/watcher.ts"
import * as WebSocket from "../support/webSocket.ts"

const ofAgent = `/api/v2/workspaceagents/${agent(1)}`
const ofMe = "/api/v2/workspaceagents/me/rpc?version=2.0"

interface Kind {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly protocols?: Array<string>
}

const kinds: Readonly<Record<string, Kind>> = {
  "an agent in the original's protocol": { path: ofMe, headers: showing(agentToken) },
  "an agent in JSON": { path: ofMe, headers: showing(agentToken), protocols: [subprotocol] },
  "an agent in another role": { path: `${ofMe}&role=logstream`, headers: showing(agentToken) },
  "a watcher": { path: Watcher.pathOf(agent(1), "watch-metadata-ws"), headers: showing(token) },
  "a follower of logs": { path: `${ofAgent}/logs?follow=true`, headers: showing(token) },
  "a client of one agent": { path: `${ofAgent}/coordinate?version=2.0`, headers: showing(token) },
  "a client of the tailnet": { path: "/api/v2/tailnet?version=2.0", headers: showing(token) },
  "a reader of relays": { path: "/api/v2/derp-map", headers: {} }
}

const connect = Effect.fnUntraced(function* ({ headers, path, protocols = [] }: Kind) {
  const { url } = yield* Service.TestService
  return yield* WebSocket.connect(`${url}${path}`, headers, { answersPings: false, protocols })
})

/** The close code that each kind of client sees after `act`. */
const codes = <E, R>(
  those: Readonly<Record<string, Kind>>,
  act: (connections: ReadonlyArray<WebSocket.Connection>) => Effect.Effect<unknown, E, R>
) =>
  Effect.gen(function* () {
    const connections = yield* Effect.forEach(Object.values(those), connect)
    yield* act(connections)
    const closed = yield* Effect.forEach(connections, ({ closed }) => closed)
    return Object.fromEntries(Object.keys(those).map((kind, index) => [kind, closed[index]!.code]))
  })

const all = (those: Readonly<Record<string, Kind>>, reason: CloseReason) =>
  Object.fromEntries(Object.keys(those).map((kind) => [kind, closeCodes[reason]]))

const seconds = (count: number) => Effect.replicateEffect(TestClock.adjust("1 second"), count)

describe("the close code of every kind of client", () => {
  it.effect("is 1012 when the service stops [CC-01]", () =>
    behind((_, stop) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* codes(kinds, () => stop), all(kinds, "restart"))
      })
    )
  )

  it.effect("is 1008 when its token is gone, for whoever has shown one [CC-02]", () =>
    behind((world) =>
      Effect.gen(function* () {
        const { "a reader of relays": _, ...known } = kinds
        const revoke = Effect.gen(function* () {
          const { publish } = yield* PubSub.PubSub
          world.forgetTokens()
          for (const subject of [`agent:${agent(1)}`, `user:${owner.id}`]) yield* publish(Revocations.channel, subject)
        })
        assert.deepStrictEqual(yield* codes(known, () => revoke), all(known, "forbidden"))
      })
    )
  )

  it.effect("is 1002 when it breaks the protocol [CC-03]", () =>
    behind(() =>
      Effect.gen(function* () {
        const breakAll = (connections: ReadonlyArray<WebSocket.Connection>) =>
          Effect.sync(() => {
            for (const { tcp } of connections) tcp.write(Buffer.from("f7".repeat(64), "hex"))
          })
        assert.deepStrictEqual(yield* codes(kinds, breakAll), all(kinds, "violation"))
      })
    )
  )

  it.effect("is 1011 when it leaves pings without an answer [CC-04]", () =>
    behind(() =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* codes(kinds, () => seconds(90)), all(kinds, "failure"))
      })
    )
  )

  it.effect("is 1011 when the service fails, not the 1000 of the platform [CC-05]", () =>
    Effect.gen(function* () {
      const route = HttpRouter.add(
        "GET",
        "/",
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const { reader } = yield* Effect.orDie(request.upgrade)
          const { pull } = yield* reader
          // the first message of the client is the defect
          yield* Effect.andThen(pull, Effect.die("a defect of the test")).pipe(closeAtEnd(request), Effect.ignoreCause)
          return HttpServerResponse.empty()
        })
      )
      const { closed, send } = yield* WebSocket.connect(yield* serveRoutes(route))

      yield* send("now")

      assert.strictEqual((yield* closed).code, closeCodes.failure)
    })
  )

  it("is that of the reason why its session has ended [CC-06]", () => {
    const reasons = ["closed", "client gone away", "failure of the service", "queue full", "unknown version"] as const

    assert.deepStrictEqual(
      reasons.map((reason) => SessionEnd.closeEventOf(reason).code),
      [closeCodes.done, closeCodes.done, closeCodes.failure, closeCodes.overload, closeCodes.violation]
    )
  })
})
