/**
 * Starts workers by `node:cluster`, and is the side of the primary of the channel to one of them.
 *
 * The primary accepts connections and deals them out in turn. So they wait for nobody while a worker is replaced.
 */
import { Deferred, Effect, Option } from "effect"
import Cluster from "node:cluster"
import type { Figures, Read } from "../operations/ServiceFigures.ts"
import { type Assignment, assignmentVariable, type FromPrimary, type FromWorker, makeReplies } from "./Messages.ts"
import type { Exit, WorkerProcess } from "./Supervisor.ts"

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
      read: (request) =>
        Effect.callback<Figures>((resume) => {
          const cancel = replies.request(
            (id) => send({ type: "read", id, request }),
            (figures) => resume(Effect.succeed(figures))
          )
          return Effect.sync(cancel)
        }),
      hasten: Effect.sync(() => send({ type: "hasten" })),
      kill: (signal) => Effect.sync(() => void worker.process.kill(signal))
    }
  })

const ignore = () => {}
