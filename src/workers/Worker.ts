/**
 * The side of a worker of the channel to its primary.
 *
 * - When the primary is gone, the worker ends as after SIGTERM, and waits for none of its clients.
 * - While the primary sends no figures, the worker shows its own.
 */
import { Context, Deferred, Effect } from "effect"
import Cluster from "node:cluster"
import type { Figures, Read, Siblings } from "../operations/ServiceFigures.ts"
import { type Assignment, assignmentVariable, type FromPrimary, type FromWorker, makeReplies } from "./Messages.ts"

export interface Assigned extends Assignment {
  readonly siblings: Siblings
  /** Succeeds when the worker shall not wait for its clients any longer. */
  readonly hastened: Effect.Effect<void>
  readonly ready: (url: string) => Effect.Effect<void>
  /** Tells the primary what this worker wrote at its end. */
  readonly stopped: (written: number, figures: Figures) => Effect.Effect<void>
}

/** The worker that this process is; `undefined` in a process that no primary of this service has started. */
export const Worker = Context.Reference<Assigned | undefined>("metadata-batcher/workers/Worker", {
  defaultValue: () => undefined
})

/** Returns the worker that this process is, if it is one. */
export const make: Effect.Effect<Assigned | undefined> = Effect.gen(function* () {
  const written = process.env[assignmentVariable]
  if (written === undefined || Cluster.worker === undefined) return undefined
  // the end of the primary would else end this process at once, with all that is pending
  Cluster.worker.exitedAfterDisconnect = true
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const hastened = yield* Deferred.make<void>()
  const replies = makeReplies<Figures>()
  let readOwn: Read | undefined

  const send = (message: FromWorker) =>
    Effect.callback<void>((resume) => {
      if (process.connected !== true) return resume(Effect.void)
      process.send!(message, undefined, undefined, () => resume(Effect.void))
    })

  process.on("message", (message: FromPrimary) => {
    if (message.type === "allFigures") replies.reply(message.id, message.figures)
    if (message.type === "hasten") Deferred.doneUnsafe(hastened, Effect.void)
    if (message.type === "read" && readOwn !== undefined) {
      const { id, request } = message
      runFork(Effect.flatMap(readOwn(request), (figures) => send({ type: "figures", id, figures })))
    }
  })
  process.on("disconnect", () => {
    Deferred.doneUnsafe(hastened, Effect.void)
    process.kill(process.pid, "SIGTERM")
  })

  const readAll: Read = (request) =>
    Effect.timeoutOrElse(
      replies.request((id) => void runFork(send({ type: "readAll", id, request }))),
      { duration: "5 seconds", orElse: () => readOwn?.(request) ?? Effect.succeed({ series: [], agents: [] }) }
    )

  const assignment: Assignment = JSON.parse(written)
  return {
    ...assignment,
    siblings: {
      startedAt: assignment.startedAt,
      readAll,
      share: (read) =>
        Effect.acquireRelease(
          Effect.sync(() => void (readOwn = read)),
          () => Effect.sync(() => void (readOwn = undefined))
        )
    },
    hastened: Deferred.await(hastened),
    ready: (url) => send({ type: "ready", url }),
    stopped: (written, figures) => send({ type: "stopped", written, figures })
  }
})
