/**
 * Sends the messages of a watch over the WebSocket of the request, until the client leaves.
 *
 * - A watch waits for a slow client. A connection on which nothing moves for `idleTimeout` is closed.
 * - The client is pinged every fifteen seconds; one that is silent for three pings is disconnected.
 * - The close code is one of {@link CloseCode}.
 */
import { Duration, Effect, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import * as CloseCode from "../../platform/CloseCode.ts"
import { closeAtEnd, closeWebSocket, drained, ping } from "../../platform/RequestSocket.ts"

/** The time from one ping of a WebSocket to the next. */
const pingInterval = Duration.seconds(15)

/** The longest silence of a client that is pinged. */
const maxSilence = Duration.times(pingInterval, 3)

export interface Options {
  readonly idleTimeout: Duration.Input
  /** The close reason and its text when the messages end. */
  readonly end: readonly [reason: CloseCode.CloseReason, text: string]
}

export const overWebSocket = Effect.fnUntraced(
  function* (messages: Stream.Stream<string>, { end, idleTimeout }: Options) {
    const request = yield* HttpServerRequest.HttpServerRequest
    const socket = yield* request.upgrade
    const { write } = yield* socket.writer
    const { pull } = yield* socket.reader

    const send = Stream.runForEach(messages, (message) =>
      Effect.andThen(write(message), Effect.timeout(drained(request), idleTimeout))
    )
    yield* Effect.raceAllFirst([
      Effect.andThen(send, closeWebSocket(request, CloseCode.closeEvent(...end))),
      Effect.forever(pull),
      Effect.forever(Effect.andThen(Effect.sleep(pingInterval), Effect.timeout(ping(request), maxSilence)))
    ]).pipe(closeAtEnd(request))
  },
  // the client left, or is unreachable: there is nobody to tell
  Effect.ignore({ log: "Debug", message: "connection of a watcher ended" }),
  Effect.as(HttpServerResponse.empty())
)
