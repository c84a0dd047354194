/** The end of a watch over a WebSocket. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Queue, Stream } from "effect"
import { HttpRouter } from "effect/http"
import { closeCodes } from "../../../src/platform/CloseCode.ts"
import { overWebSocket } from "../../../src/watch/internal/overWebSocket.ts"
import { serveRoutes } from "../../support/localServer.ts"
import * as WebSocket from "../../support/webSocket.ts"

const watch = (messages: Stream.Stream<string>) =>
  Effect.flatMap(
    serveRoutes(
      HttpRouter.add(
        "GET",
        "/",
        overWebSocket(messages, { idleTimeout: "1 hour", end: ["forbidden", "there is nothing left"] })
      )
    ),
    (url) => WebSocket.connect(url)
  )

layer(Layer.empty, { excludeTestServices: true })("a watch over a WebSocket", (it) => {
  it.effect("has the close code and the reason of its end, after all messages [WA-30]", () =>
    Effect.gen(function* () {
      const { closed, messages } = yield* watch(Stream.make("one", "two"))

      assert.deepStrictEqual(yield* Queue.takeN(messages, 2), ["one", "two"])
      assert.deepStrictEqual(yield* closed, { code: closeCodes.forbidden, reason: "there is nothing left" })
    })
  )
})
