/** The limits of a running service, each of them reached over real connections. */
import { assert, layer } from "@effect/vitest"
import { Duration, Effect, Queue } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import * as Net from "node:net"
import { socketErrors } from "../../src/agentapi/AgentMetrics.ts"
import { closedConnections } from "../../src/platform/ConnectionLimits.ts"
import * as SocketFailure from "../../src/platform/SocketFailure.ts"
import * as Agent from "../support/agent.ts"
import * as People from "../support/directory.ts"
import * as Service from "../support/service.ts"
import * as WebSocket from "../support/webSocket.ts"
import { pathOf } from "../support/watcher.ts"

const limits = {
  MAX_CONNECTIONS: "16",
  MAX_UNAUTHENTICATED_CONNECTIONS: "5",
  REQUEST_TIMEOUT: "600 millis",
  IDLE_TIMEOUT: "1500 millis",
  MAX_BODY_BYTES: "2048",
  AGENT_MAX_MESSAGE_BYTES: "4096",
  AGENT_MAX_CALL_RATE: "20",
  AGENT_MAX_CONNECTIONS: "3",
  MAX_CONNECTIONS_PER_USER: "3"
}

/** A connection on which nothing was said yet. */
const stranger = Effect.gen(function* () {
  const { port } = new URL((yield* Service.TestService).url)
  const received: Array<string> = []
  const socket = yield* Effect.acquireRelease(
    Effect.callback<Net.Socket>((resume) => {
      const socket = Net.connect(Number(port), "127.0.0.1", () => resume(Effect.succeed(socket)))
      socket.on("error", () => {}).on("data", (chunk) => received.push(String(chunk)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const closed = Effect.callback<string>((resume) => {
    const end = () => resume(Effect.sync(() => received.join("")))
    if (socket.closed) end()
    else socket.once("close", end)
  })
  return { closed, socket }
})

/** Returns the answer to the text of a new connection. One for which another test leaves no room is refused without a word. */
const answerTo = (text: string) =>
  Effect.repeat(
    Effect.scoped(
      Effect.flatMap(stranger, ({ closed, socket }) => {
        socket.write(text)
        return closed
      })
    ),
    { until: (answer) => answer !== "" }
  )

const report = (connection: WebSocket.Connection, id: string) =>
  Effect.map(Agent.exchange(connection, Agent.report(id)), (answer) =>
    assert.deepStrictEqual(answer, Agent.accepted(id))
  )

const connected = Effect.gen(function* () {
  const { url } = yield* Service.TestService
  const person = yield* People.agent("cpu")
  return { ...person, connection: yield* Agent.connect(url, People.showing(person.token)) }
})

layer(Service.layerWith(limits), { excludeTestServices: true })("the limits of the service", (it) => {
  it.effect("keep an idle connection open for as long as the idle timeout between two requests [FT-24]", () =>
    Effect.gen(function* () {
      assert.match(yield* answerTo("GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"), /keep-alive: timeout=1\b/i)
    })
  )

  it.effect("respond with 408 to a request that takes too long to arrive", () =>
    Effect.gen(function* () {
      assert.match(yield* answerTo("GET /healthz HTTP/1.1\r\nHost: here\r\nX-Slow: "), /^HTTP\/1.1 408 /)
    })
  )

  it.effect("let an agent in while silent connections take all the room, and count the closed ones [FT-06]", () =>
    Effect.gen(function* () {
      const { metric } = yield* Service.TestService
      const { connection } = yield* connected
      const newcomer = yield* People.agent("cpu")
      const before = metric(closedConnections.unauthenticated).count
      const strangers = yield* Effect.forEach(Array.from({ length: 7 }), () => stranger)
      yield* Effect.raceAllFirst(strangers.map(({ closed }) => closed))

      const { url } = yield* Service.TestService
      // the silent ones make room as soon as they have been silent for long enough
      const admitted = yield* Effect.retry(Agent.connect(url, People.showing(newcomer.token)), { times: 1_000 })

      yield* report(admitted, "1")
      yield* report(connection, "1")
      assert.isAtLeast(metric(closedConnections.unauthenticated).count, before + 2)
    })
  )

  it.effect(
    "reject further connections of an agent and of a user with 429, and count those that are open [FT-14]",
    () =>
      Effect.gen(function* () {
        const { url } = yield* Service.TestService
        const { id, owner, token } = yield* People.agent("cpu")
        const ways = [
          Agent.connect(url, People.showing(token)),
          WebSocket.connect(`${url}${pathOf(id, "watch-metadata-ws")}`, People.showing(owner.token))
        ]

        for (const connect of ways) {
          const [first] = yield* Effect.all([connect, connect, connect])
          assert.strictEqual((yield* Effect.flip(connect)).status, 429)
          yield* first.close
          // the service hears of the end a little later
          yield* Effect.retry(connect, { times: 1_000 })
        }
      }).pipe(Effect.scoped)
  )

  it.effect("respond with 413 to a body that is too large", () =>
    Effect.gen(function* () {
      const { status } = yield* HttpClientRequest.post("/api/v2/users").pipe(
        HttpClientRequest.setHeaders(People.showing((yield* People.user({ isAdmin: true })).token)),
        HttpClientRequest.bodyJsonUnsafe({ username: "x".repeat(3_000) }),
        HttpClient.execute
      )

      assert.strictEqual(status, 413)
    })
  )

  it.effect(
    "end the connection of an agent for too large a message and for a malformed frame, and count that [WI-54]",
    () =>
      Effect.gen(function* () {
        const { logged, metric } = yield* Service.TestService
        const counts = () => SocketFailure.reasons.map((reason) => metric(socketErrors[reason]).count)
        const [large, malformed] = [yield* connected, yield* connected]
        const before = counts()

        yield* large.connection.send(Agent.report("1", Agent.sample("cpu", "x".repeat(5_000))))
        // a frame that is not masked
        malformed.connection.tcp.write(Buffer.from("810568656c6c6f", "hex"))

        assert.strictEqual((yield* large.connection.closed).code, 1009)
        assert.strictEqual((yield* malformed.connection.closed).code, 1002)
        // in either order
        const ids = new Set([large.id, malformed.id])
        while (ids.size > 0) {
          const record = yield* logged("agent disconnected")
          for (const id of ids) if (record.includes(id)) ids.delete(id)
        }
        assert.deepStrictEqual(
          counts().map((count, index) => count - before[index]!),
          [1, 1, 0]
        )
      })
  )

  it.effect("read from an agent that calls too often as slowly as it may call", () =>
    Effect.gen(function* () {
      const { connection } = yield* connected
      const ids = Array.from({ length: 40 }, (_, index) => String(index))

      const [elapsed] = yield* Effect.timed(
        Effect.andThen(
          Effect.forEach(ids, (id) => connection.send(Agent.report(id)), { discard: true }),
          Queue.takeN(connection.messages, ids.length)
        )
      )
      // twenty at once, the others one after another
      assert.isAtLeast(Duration.toMillis(elapsed), 900)
    })
  )

  it.effect("close the connections of watchers that take nothing of what was sent, either way", () =>
    Effect.gen(function* () {
      const { logged, url } = yield* Service.TestService
      // more than the network holds
      const script = "s".repeat(60_000)
      const keys = Array.from({ length: 150 }, (_, index) => ({ ...People.describeKey(`key-${index}`), script }))
      const { id, owner } = yield* People.agentDeclaring(keys)
      const headers = People.showing(owner.token)

      const { tcp } = yield* WebSocket.connect(`${url}${pathOf(id, "watch-metadata-ws")}`, headers)
      tcp.pause()
      const { socket } = yield* stranger
      const [[name, token]] = Object.entries(headers) as [[string, string]]
      socket.write(`GET ${pathOf(id, "watch-metadata")} HTTP/1.1\r\nHost: here\r\n${name}: ${token}\r\n\r\n`)
      socket.pause()

      yield* logged("metadata watcher left", id)
      yield* logged("metadata watcher left", id)
    })
  )

  it.effect("close connections at once when there are too many of all", () =>
    Effect.gen(function* () {
      const { metric } = yield* Service.TestService
      const { connection } = yield* connected
      const agents = yield* Effect.forEach(Array.from({ length: 17 }), () => Effect.result(connected))

      const admitted = agents.filter(({ _tag }) => _tag === "Success").length
      assert.isBelow(admitted, 16)
      assert.isAbove(metric(closedConnections.all).count, 0)
      yield* report(connection, "1")
    })
  )
})
