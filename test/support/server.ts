/**
 * Embedded servers of tests, and those of other processes.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Layer, Queue, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import { spawn } from "node:child_process"
import * as Net from "node:net"
import type * as EmbeddedPostgres from "../../src/postgres/EmbeddedPostgres.ts"
import type * as Account from "../../src/postgres/internal/account.ts"
import * as Postmaster from "../../src/postgres/internal/postmaster.ts"
import { compileCache, programAt } from "./folder.ts"

/** The needs of everything here. */
export const environment = Layer.mergeAll(NodeFileSystem.layer, Reactivity.layer)

/** Settings of a server whose data nobody needs tomorrow. */
export const settings = { fsync: "off" }

export const query = (server: EmbeddedPostgres.Server, statement: string) =>
  Effect.scoped(Effect.flatMap(PgClient.make({ url: server.url }), (sql) => sql.unsafe(statement)))

/** A process that makes a server of its own, as the fixture does; `lines` has its output. */
export const otherProcess = Effect.fnUntraced(function* (dataDir: string, account?: Account.Account) {
  const lines = yield* Queue.unbounded<string>()
  const exited = yield* Deferred.make<void>()
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [programAt("test/support/embeddedServer.ts"), dataDir], {
        detached: true,
        env: { ...process.env, ...compileCache() },
        ...(account === undefined ? {} : { uid: account.uid, gid: account.gid })
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => Queue.offerAllUnsafe(lines, String(chunk).trim().split("\n")))
  }
  child.on("close", () => Deferred.doneUnsafe(exited, Effect.void))
  return { child, pid: child.pid!, exited: Deferred.await(exited), lines }
})

/** The server of such a process, as soon as it runs. */
export const serverOf = ({ lines }: Effect.Success<ReturnType<typeof otherProcess>>) =>
  Queue.take(lines).pipe(Effect.repeat({ until: (line) => line.startsWith("{") }), Effect.flatMap(decodeServer))

/** Such a process once its server runs. Neither outlives the test. */
export const otherServer = Effect.fnUntraced(function* (dataDir: string, account?: Account.Account) {
  const other = yield* otherProcess(dataDir, account)
  const server = yield* serverOf(other)
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(Postmaster.orphan(server.pid), (orphan) => Postmaster.end(orphan, "5 seconds"))
  )
  return { ...other, server }
})

const decodeServer = Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({ pid: Schema.Int, port: Schema.Int })))

/** Whether something takes connections on the port. */
export const isOpen = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = Net.connect(port, "127.0.0.1")
    socket.on("connect", () => resume(Effect.succeed(true)))
    socket.on("error", () => resume(Effect.succeed(false)))
    return Effect.sync(() => socket.destroy())
  })
