/** The service under a limit of open files that is lower than its limit of connections. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit } from "effect"
import * as Net from "node:net"
import { dataFolder } from "../support/folder.ts"
import * as ServiceProcess from "../support/serviceProcess.ts"

const connect = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Socket>((resume) => {
      const socket = Net.connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** The status of a request over this very connection. */
const readiness = (socket: Net.Socket) =>
  Effect.callback<string>((resume) => {
    socket.once("data", (data) => resume(Effect.succeed(/^HTTP\/1\.1 (\d+)/.exec(data.toString())![1]!)))
    socket.write("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
  })

/** A service that may open 200 files. */
const startLimited = (env: Readonly<Record<string, string>>) =>
  Effect.flatMap(dataFolder, (folder) =>
    ServiceProcess.startThrough(
      ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh"],
      ["serve", "--port", "0", "--data-dir", folder],
      { LOG_FORMAT: "json", ...env }
    )
  )

it.live("connections leave descriptors to the database when the system allows fewer than MAX_CONNECTIONS [FT-17]", () =>
  Effect.gen(function* () {
    const service = yield* startLimited({ DATABASE_MAX_CONNECTIONS: "20", MAX_CONNECTIONS: "20000" })
    const [warning] = yield* service.line(/^.*fewer connections than MAX_CONNECTIONS.*$/)
    assert.deepInclude(JSON.parse(warning).annotations, { maxConnections: 20_000, allowed: 115, descriptors: 200 })
    const [, port] = yield* service.line(/^ready at \S+:(\d+)/)

    const first = yield* connect(Number(port))
    assert.strictEqual(yield* readiness(first), "200")
    // one of those beyond the limit, which the process could accept in order to close it
    const closed = yield* Deferred.make<void>()
    for (let count = 0; count < 300; count++) {
      const socket = yield* connect(Number(port))
      const close = () => Deferred.doneUnsafe(closed, Exit.void)
      // it may have been closed already, and one that reads nothing sees no end
      if (socket.closed) close()
      else socket.once("close", close).resume()
    }
    yield* Deferred.await(closed)

    // each needs a connection to the database, of which there are none yet but one
    const statuses = yield* Effect.forEach(Array.from({ length: 5 }), () => readiness(first))
    assert.deepStrictEqual([...new Set(statuses)], ["200"])
  }).pipe(Effect.provide(NodeFileSystem.layer))
)

it.live("a limit that bounds connections is no warning to those who have set none [FT-17]", () =>
  Effect.gen(function* () {
    const service = yield* startLimited({})
    const [record] = yield* service.line(/^.*connections bounded by the limit of open files.*$/)
    assert.deepInclude(JSON.parse(record), { level: "INFO" })
    yield* service.line(/^ready at \S+/)
    const warnings = service
      .output()
      .split("\n")
      .filter((line) => line.includes('"WARN"') && line.includes("connections"))
    assert.deepStrictEqual(warnings, [])
  }).pipe(Effect.provide(NodeFileSystem.layer))
)
