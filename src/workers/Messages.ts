/** The messages between the primary and its workers, over the channel between their processes. */
import { Effect } from "effect"
import type { Figures, Request } from "../operations/ServiceFigures.ts"

export type FromWorker =
  /** The worker serves at this address. */
  | { readonly type: "ready"; readonly url: string }
  /** The worker wants the figures of all workers. */
  | { readonly type: "readAll"; readonly id: number; readonly request: Request }
  | { readonly type: "figures"; readonly id: number; readonly figures: Figures }
  /** The worker has written so many entries since it was asked to stop; nothing follows. */
  | { readonly type: "stopped"; readonly written: number; readonly figures: Figures }

export type FromPrimary =
  | { readonly type: "read"; readonly id: number; readonly request: Request }
  | { readonly type: "allFigures"; readonly id: number; readonly figures: Figures }
  /** The worker shall not wait for its clients any longer. */
  | { readonly type: "hasten" }

/** The task of a worker, which it gets at its start. */
export interface Assignment {
  /** The number of the worker, from 1. */
  readonly worker: number
  readonly workers: number
  /** When the service started, in milliseconds since the epoch. */
  readonly startedAt: number
  /** Settings that take the place of those of the environment. */
  readonly databaseUrl: string
  readonly port: number
}

/** The variable of the environment that carries the {@link Assignment} of a worker in JSON. */
export const assignmentVariable = "METADATA_BATCHER_WORKER"

/** Requests that wait for a message with the same id. */
export const makeReplies = <A>() => {
  const waiting = new Map<number, (reply: A) => void>()
  let last = 0
  return {
    /** Returns the reply to the request that `send` sends. */
    request: (send: (id: number) => void): Effect.Effect<A> =>
      Effect.callback((resume) => {
        const id = ++last
        waiting.set(id, (reply) => resume(Effect.succeed(reply)))
        send(id)
        return Effect.sync(() => waiting.delete(id))
      }),
    /** Hands a reply to its request; a reply that nobody waits for is dropped. */
    reply: (id: number, reply: A) => {
      waiting.get(id)?.(reply)
      waiting.delete(id)
    }
  }
}
