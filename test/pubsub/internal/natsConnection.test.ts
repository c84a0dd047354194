/** Connections to a server that says what the test says, in the protocol of NATS. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Queue, Redacted, type Scope } from "effect"
import * as Net from "node:net"
import * as Path from "node:path"
import { BrokerError } from "../../../src/pubsub/internal/brokerError.ts"
import * as NatsConnection from "../../../src/pubsub/internal/natsConnection.ts"
import { emptyFolder } from "../../support/folder.ts"
import { portOf } from "../../support/localServer.ts"
import { promptly } from "../support.ts"

/** Replies to the lines that begin so. */
type Replies = Readonly<Record<string, string>>

const server = Effect.fnUntraced(function* (
  options: { readonly version?: string; readonly replies?: Replies; readonly isSilent?: boolean } = {}
) {
  const { isSilent = false, replies = {}, version = "2.10.0" } = options
  const info = { server_id: "test", version, go: "go1.22", max_payload: 1_048_576, proto: 1, headers: true }
  const lines = yield* Queue.unbounded<string>()
  const sockets = new Set<Net.Socket>()
  const port = yield* portOf(
    Net.createServer((socket) => {
      sockets.add(socket)
      socket.write(`INFO ${JSON.stringify(info)}\r\n`)
      socket.on("error", () => {})
      socket.on("close", () => void Queue.offerUnsafe(lines, "closed"))
      socket.on("data", (chunk) => {
        // one write, as a server makes that has several things to say
        let out = ""
        for (const line of String(chunk)
          .split("\r\n")
          .filter((line) => line !== "")) {
          Queue.offerUnsafe(lines, line)
          const reply = Object.entries(replies).find(([start]) => line.startsWith(start))?.[1]
          if (reply !== undefined) out += `${reply}\r\n`
          if (line === "PING" && !isSilent) out += "PONG\r\n"
        }
        if (out !== "") socket.write(out)
      })
    }),
    () => sockets.forEach((socket) => socket.destroy())
  )
  return {
    port,
    close: Effect.sync(() => sockets.forEach((socket) => socket.destroy())),
    /** Waits for the next line that begins so. */
    line: (start: string) => Effect.repeat(Queue.take(lines), { until: (line) => line.startsWith(start) })
  }
})

const driverAt = (port: number, user = "", options: Partial<NatsConnection.Options> = {}) =>
  NatsConnection.driver({ url: Redacted.make(`nats://${user}127.0.0.1:${port}`), ...options })

const connect = (port: number, user?: string, options?: Partial<NatsConnection.Options>) =>
  Effect.flatMap(driverAt(port, user, options), (driver) => driver.connect)

/** The reason why there is no connection. */
const refusal = (port: number) => Effect.map(Effect.flip(Effect.scoped(connect(port))), ({ reason }) => reason)

describe("a connection to NATS", () => {
  it.live("is made from version 2.2 on [BK-05]", () =>
    Effect.gen(function* () {
      for (const version of ["2.2.0", "2.10.26", "3.0.0"]) {
        yield* Effect.scoped(connect((yield* server({ version })).port))
      }
      for (const version of ["1.9.0", "2.1.9"]) {
        assert.strictEqual(yield* refusal((yield* server({ version })).port), "version", version)
      }
    })
  )

  it.live("shows a user with a password, or a token, which is a name or a password alone [BK-05]", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* emptyFolder, "credentials")
      const shown = Effect.fnUntraced(function* (user: string, content?: string) {
        const { line, port } = yield* server()
        if (content !== undefined) yield* FileSystem.FileSystem.use((fs) => fs.writeFileString(file, content))
        yield* Effect.scoped(connect(port, user, content === undefined ? {} : { credentialsFile: file }))
        const { auth_token, pass, user: name } = JSON.parse((yield* line("CONNECT")).slice("CONNECT ".length))
        return { auth_token, pass, user: name }
      })
      const none = { auth_token: undefined, pass: undefined, user: undefined }

      assert.deepStrictEqual(yield* shown("me:word@"), { ...none, user: "me", pass: "word" })
      assert.deepStrictEqual(yield* shown("token@"), { ...none, auth_token: "token" })
      assert.deepStrictEqual(yield* shown(":token@"), { ...none, auth_token: "token" })
      assert.deepStrictEqual(yield* shown(""), none)
      assert.deepStrictEqual(yield* shown("", "me:word\n"), { ...none, user: "me", pass: "word" })
      assert.deepStrictEqual(yield* shown("me:word@", "token\n"), { ...none, auth_token: "token" })
    }).pipe(Effect.provide(NodeFileSystem.layer))
  )

  it.live("says when the server does not accept the user, at first or any more [BK-05]", () =>
    Effect.gen(function* () {
      for (const error of ["Authorization Violation", "User Authentication Expired"]) {
        const { port } = yield* server({ replies: { CONNECT: `-ERR '${error}'` } })
        assert.strictEqual(yield* refusal(port), "credentials", error)
      }
    })
  )

  it.live("breaks when the user lacks a right, for what it listens to and for what it publishes [BK-05]", () =>
    Effect.gen(function* () {
      const denied = (operation: string) => `-ERR 'Permissions Violation for ${operation} to "metadata_batcher.a"'`
      const reasonOf = (failing: Effect.Effect<unknown, unknown, Scope.Scope>) =>
        Effect.map(Effect.flip(failing), (error) => (error instanceof BrokerError ? error.reason : error))
      const listening = yield* connect((yield* server({ replies: { SUB: denied("Subscription") } })).port)
      assert.strictEqual(yield* reasonOf(listening.listen("a")), "rights")

      const publishing = yield* connect((yield* server({ replies: { PUB: denied("Publish") } })).port)
      const queue = yield* publishing.listen("b")
      assert.strictEqual(yield* reasonOf(publishing.publish("a", "1")), "rights")
      assert.strictEqual(yield* reasonOf(Queue.take(queue)), "rights")
    })
  )

  it.live("has a name, and is not opened again by its client when the server closes it", () =>
    Effect.gen(function* () {
      const { close, line, port } = yield* server()
      const connection = yield* connect(port)
      const queue = yield* connection.listen("a")
      const { name, reconnect } = JSON.parse((yield* line("CONNECT")).slice("CONNECT ".length))
      assert.strictEqual(name, "metadata-batcher")
      assert.isUndefined(reconnect)

      yield* close
      const error = yield* Effect.flip(Queue.take(queue))
      assert.instanceOf(error, BrokerError)
      assert.strictEqual(error.reason, "unreachable")
      // the subscription was of a connection that is closed, and so does not open another one
      assert.instanceOf(yield* Effect.flip(connection.publish("a", "1")), BrokerError)
      assert.instanceOf(yield* Effect.flip(connection.check), BrokerError)
    })
  )

  it.live("is to a server of another protocol if it says nothing at first, or has no TLS [BK-05]", () =>
    Effect.gen(function* () {
      const { port } = yield* server()
      const silence = Object.assign(new Error("timeout"), { name: "TimeoutError" })
      const driver = yield* driverAt(port)
      assert.strictEqual(driver.broken(silence).reason, "protocol")
      yield* Effect.scoped(driver.connect)
      assert.strictEqual(driver.broken(silence).reason, "unreachable")

      const withTls = yield* NatsConnection.driver({ url: Redacted.make(`tls://127.0.0.1:${port}`) })
      assert.strictEqual((yield* Effect.flip(Effect.scoped(withTls.connect))).reason, "protocol")
    })
  )

  it.live("breaks with one error, also where the reason is such an error", () =>
    Effect.gen(function* () {
      const { port } = yield* server()
      const driver = yield* driverAt(port)
      const silent = driver.silent()

      assert.deepInclude(silent, { _tag: "BrokerError", reason: "silence" })
      assert.strictEqual(driver.broken(silent), silent)
      assert.strictEqual(driver.broken("cut").reason, "unreachable")
      const certificate = Object.assign(new Error("no"), { code: "CERT_HAS_EXPIRED" })
      assert.strictEqual(driver.broken(certificate).reason, "certificate")
    })
  )

  it.live("stops to listen to a channel at the server when nobody listens any more", () =>
    Effect.gen(function* () {
      const { line, port } = yield* server()
      const { listen } = yield* connect(port)

      yield* Effect.scoped(listen("a"))
      const [, sid] = /^SUB \S+ (\d+)/.exec(yield* line("SUB"))!
      assert.strictEqual(yield* line("UNSUB"), `UNSUB ${sid}`)
    })
  )

  it.live("is given up at once by an interruption, also while the server is silent", () =>
    Effect.gen(function* () {
      const { line, port } = yield* server({ isSilent: true })
      const attempt = yield* Effect.forkChild(Effect.scoped(connect(port)))
      yield* line("CONNECT")

      yield* promptly(Fiber.interrupt(attempt))
    })
  )

  it.live("is closed when it opens after the attempt was interrupted", () =>
    Effect.gen(function* () {
      const { line, port } = yield* server()
      const attempt = yield* Effect.forkChild(Effect.scoped(connect(port)))
      yield* line("CONNECT")

      yield* Fiber.interrupt(attempt)

      yield* line("closed")
    })
  )
})
