/**
 * Starts workers by `node:cluster`, and is the side of the primary of the channel to one of them.
 *
 * The primary accepts connections and deals them out in turn. So they wait for nobody while a worker is replaced.
 */
import { Deferred, Effect, Option } from "effect"
import Cluster, { type Worker } from "node:cluster"
import type { Figures, Read } from "../operations/ServiceFigures.ts"
import { type Assignment, assignmentVariable, type FromPrimary, type FromWorker, makeReplies } from "./Messages.ts"
import type { Exit, WorkerProcess } from "./Supervisor.ts"

interface Handle {
  readonly close: () => void
}

/** The part of Node's own messages that hands a connection to a worker, or confirms that it has arrived. */
interface HandOver {
  readonly act?: string
  readonly seq?: number
  readonly ack?: number
}

/**
 * Closes the connections that were on their way to a worker when it died: Node keeps them open for ever, so that their
 * clients would wait until they give up.
 */
const closeUndelivered = (worker: Worker) => {
  const undelivered = new Map<number, Handle>()
  const { process } = worker
  const send = process.send
  const sendFollowed = (...sent: readonly [message: HandOver, handle?: Handle]) => {
    const [{ act, seq }, handle] = sent
    if (act === "newconn" && seq !== undefined && handle) undelivered.set(seq, handle)
    return Reflect.apply(send, process, sent)
  }
  Object.assign(process, { send: sendFollowed })
  process.on("internalMessage", ({ ack }: HandOver) => {
    if (ack !== undefined) undelivered.delete(ack)
  })
  worker.once("exit", () => {
    for (const handle of undelivered.values()) handle.close()
  })
}

/** Starts a worker. `readAll` is what it reads of all workers. */
export const fork = (assignment: Assignment, readAll: Read): Effect.Effect<WorkerProcess> =>
  Effect.gen(function* () {
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const ready = yield* Deferred.make<string>()
    const exit = yield* Deferred.make<Exit>()
    const replies = makeReplies<Figures>()
    let stopped: Exit["stopped"] = Option.none()

    // figures hold infinities and maps
    Cluster.setupPrimary({ serialization: "advanced" })
    Cluster.schedulingPolicy = Cluster.SCHED_RR
    const worker = Cluster.fork({ [assignmentVariable]: JSON.stringify(assignment) })
    closeUndelivered(worker)
    const send = (message: FromPrimary) => {
      // a worker that is ending has no channel
      if (worker.isConnected()) worker.send(message, ignore)
    }
    const end = (code: number | null, signal: string | null) =>
      Deferred.doneUnsafe(exit, Effect.succeed({ code, signal, stopped }))
    worker.on("error", () => {
      if (worker.process.pid === undefined) end(null, null)
    })
    worker.on("message", (message: FromWorker) => {
      if (message.type === "ready") Deferred.doneUnsafe(ready, Effect.succeed(message.url))
      if (message.type === "figures") replies.reply(message.id, message.figures)
      if (message.type === "stopped") stopped = Option.some(message)
      if (message.type === "readAll") {
        const { id, request } = message
        runFork(Effect.map(readAll(request), (figures) => send({ type: "allFigures", id, figures })))
      }
    })
    worker.on("exit", (code, signal) => {
      // its last message may still be on the way
      if (worker.isConnected()) worker.once("disconnect", () => end(code, signal))
      else end(code, signal)
    })

    return {
      pid: worker.process.pid,
      ready: Deferred.await(ready),
      exit: Deferred.await(exit),
      read: (request) => replies.request((id) => send({ type: "read", id, request })),
      hasten: Effect.sync(() => send({ type: "hasten" })),
      kill: (signal) => Effect.sync(() => void worker.process.kill(signal))
    }
  })

const ignore = () => {}
