/**
 * Locks a folder until the holder ends. The holder listens on a Unix socket in the folder and sends its process id,
 * because process ids alone mean nothing between containers.
 *
 * - A socket without a listener is left over from a holder that was killed, and is replaced.
 * - When the file system does not support sockets, the folder is used without a lock, and a warning says so.
 */
import { Effect, FileSystem, Option } from "effect"
import * as Crypto from "node:crypto"
import * as Net from "node:net"
import * as Path from "node:path"

/** The name of the socket. */
const name = "lock"

/** Another process holds the lock. Its id is the one inside its container, and unknown while it does not respond. */
export interface Held {
  readonly pid: number | undefined
}

/** Locks the folder until the scope closes. Returns the holder when another process has locked the folder. */
export const acquire = Effect.fnUntraced(function* (folder: string) {
  const fs = yield* FileSystem.FileSystem
  // the paths of many folders are too long for a socket, so the socket is reached by a short link
  const short = Path.join(yield* fs.makeTempDirectoryScoped(), "folder")
  yield* fs.symlink(folder, short)
  const address = Path.join(short, name)

  for (let attempt = 0; attempt < attempts; attempt++) {
    const result = yield* Effect.acquireRelease(listen(address), close)
    if (typeof result !== "string") return undefined
    if (result !== "EADDRINUSE") {
      yield* Effect.logWarning("cannot lock the data folder").pipe(Effect.annotateLogs({ folder, reason: result }))
      return undefined
    }
    const held = yield* holder(address)
    if (held !== undefined) return held
    yield* remove(short)
  }
  return { pid: undefined } satisfies Held
})

const attempts = 5

/** Listens at the address until it is closed. Returns the code of the error when that fails. */
const listen = (address: string) =>
  Effect.callback<Net.Server | string>((resume) => {
    const server = Net.createServer((socket) => socket.on("error", () => {}).end(String(process.pid)))
    server.unref()
    server.once("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code ?? error.message)))
    server.listen(address, () => resume(Effect.succeed(server)))
  })

const close = (result: Net.Server | string) =>
  typeof result === "string"
    ? Effect.void
    : Effect.callback<void>((resume) => void result.close(() => resume(Effect.void)))

/** Returns the process that listens at the address, if any. */
const holder = (address: string) =>
  Effect.callback<Held | undefined>((resume) => {
    let text = ""
    const socket = Net.connect(address)
    socket.on("data", (chunk) => (text += String(chunk)))
    socket.once("end", () => resume(Effect.succeed({ pid: text === "" ? undefined : Number(text) })))
    socket.once("error", ({ code }: NodeJS.ErrnoException) =>
      resume(Effect.succeed(code === "ECONNREFUSED" || code === "ENOENT" ? undefined : { pid: undefined }))
    )
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.timeoutOption("1 second"), Effect.map(Option.getOrElse((): Held => ({ pid: undefined }))))

/** Removes the socket, unless another process has put its own in its place. */
const remove = Effect.fnUntraced(function* (folder: string) {
  const fs = yield* FileSystem.FileSystem
  const aside = Path.join(folder, `${name}.${Crypto.randomUUID()}`)
  const renamed = yield* Effect.isSuccess(fs.rename(Path.join(folder, name), aside))
  if (!renamed) return
  if ((yield* holder(aside)) !== undefined) yield* Effect.ignore(fs.link(aside, Path.join(folder, name)))
  yield* Effect.ignore(fs.remove(aside))
})
