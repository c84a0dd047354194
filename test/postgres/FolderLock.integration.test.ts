/** The lock on a data folder, over real sockets and a process that is killed. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Queue } from "effect"
import { TestClock } from "effect/testing"
import { spawnSync } from "node:child_process"
import * as Net from "node:net"
import * as Path from "node:path"
import * as FolderLock from "../../src/postgres/internal/folderLock.ts"
import { emptyFolder } from "../support/folder.ts"

const longFolder = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const folder = Path.join(yield* emptyFolder, "a".repeat(100), "b".repeat(100))
  yield* fs.makeDirectory(folder, { recursive: true })
  return folder
})

it.layer(NodeFileSystem.layer)("folderLock", (it) => {
  it.effect("locks a folder for one holder at a time, however long its path is [FT-11]", () =>
    Effect.gen(function* () {
      const folder = yield* longFolder
      const [first, second] = yield* Effect.all([FolderLock.acquire(folder), FolderLock.acquire(folder)]).pipe(
        Effect.scoped
      )
      const afterwards = yield* FolderLock.acquire(folder)

      assert.deepStrictEqual([first, second, afterwards], [undefined, { pid: process.pid }, undefined])
    })
  )

  it.effect("locks a folder whose holder was killed, and leaves nothing else in it [FT-11]", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* emptyFolder
      const program = `require("node:net").createServer().listen("lock", () => process.kill(process.pid, "SIGKILL"))`
      const { signal } = spawnSync(process.execPath, ["-e", program], { cwd: folder })
      assert.strictEqual(signal, "SIGKILL")
      assert.deepStrictEqual(yield* fs.readDirectory(folder), ["lock"])

      assert.isUndefined(yield* FolderLock.acquire(folder))
      assert.isDefined(yield* FolderLock.acquire(folder))
      assert.deepStrictEqual(yield* fs.readDirectory(folder), ["lock"])
    })
  )

  it.effect("leaves a folder to a holder that does not respond within a second, and hangs up", () =>
    Effect.gen(function* () {
      const folder = yield* emptyFolder
      const events = yield* Queue.unbounded<string>()
      const server = Net.createServer((socket) => {
        Queue.offerUnsafe(events, "connected")
        socket.resume().on("close", () => Queue.offerUnsafe(events, "closed"))
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => {
          server.listen(Path.join(folder, "lock"), () => resume(Effect.void))
        }),
        () => Effect.sync(() => server.close())
      )

      const acquired = yield* Effect.forkChild(FolderLock.acquire(folder))
      assert.strictEqual(yield* Queue.take(events), "connected")
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(acquired.pollUnsafe())
      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(yield* Fiber.join(acquired), { pid: undefined })
      assert.strictEqual(yield* Queue.take(events), "closed")
    })
  )
})
