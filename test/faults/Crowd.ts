/** Many agents in a process of their own: see `crowdProcess.ts`. */
import { Effect, SubscriptionRef } from "effect"
import { fork } from "node:child_process"
import * as Path from "node:path"
import type { Start, State } from "./crowdProcess.ts"

/** Connects an agent for each token until the scope closes, again and again. */
export const start = Effect.fnUntraced(function* (options: Start) {
  const state = yield* SubscriptionRef.make<State>({ connected: 0, attempts: 0 })
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => fork(Path.resolve("test/faults/crowdProcess.ts"))),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  child.on("message", (message: State) => Effect.runSync(SubscriptionRef.set(state, message)))
  child.send(options)
  return state
})
