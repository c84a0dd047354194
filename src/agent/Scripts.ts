/**
 * Runs the scripts of a manifest, and goes through the lifecycle that follows from them.
 *
 * - The start scripts run once, whatever becomes of the connection. The agent has started once they are over.
 * - From then on the scripts with a schedule run when they are due. A run that is not over by then does not delay the
 *   next one.
 * - The stop scripts run at the end, after the start scripts and the schedules have been interrupted.
 * - The output of a script is logged line by line. A failure is printed.
 * - States and ends of scripts wait until they can be reported, in their order.
 */
import { Console, Cron, DateTime, Effect, Fiber, Queue, Result } from "effect"
import type { AgentClient } from "../agentapi/AgentClient.ts"
import type * as AgentLifecycle from "../domain/AgentLifecycle.ts"
import * as CronExpression from "../domain/CronExpression.ts"
import type * as LogLines from "./LogLines.ts"
import * as Script from "./Script.ts"

type Client = AgentClient["Service"]

/** A script of a manifest. */
export type ManifestScript = Effect.Success<ReturnType<Client["GetManifest"]>>["scripts"][number]

/** A state of the agent, and since when it has it. */
export type Change = Parameters<Client["UpdateLifecycle"]>[0]["lifecycle"] & { readonly state: AgentLifecycle.State }

/** The end of a script. */
export type Timing = Parameters<Client["ScriptCompleted"]>[0]["timing"]

/** The most ends of scripts that wait; further ones are not reported. */
const maxWaiting = 1_000

export const make = Effect.fnUntraced(function* (logs: LogLines.LogLines) {
  const scope = yield* Effect.scope
  const changes = yield* Queue.unbounded<Change>()
  const timings = yield* Queue.dropping<Timing>(maxWaiting)
  let starting: Fiber.Fiber<void, never> | undefined

  const become = Effect.fnUntraced(function* (state: AgentLifecycle.State) {
    yield* Queue.offer(changes, { state, changed_at: yield* DateTime.now })
  })

  const run = Effect.fnUntraced(function* (script: ManifestScript, stage: Timing["stage"]) {
    const start = yield* DateTime.now
    const onLine = (output: string) => logs.add({ source: script.log_source_id, output })
    const outcome = yield* Script.run(script.script, { onLine, timeout: script.timeout }).pipe(
      Effect.as({ exit_code: 0, status: "ok" } as const),
      Effect.catch(({ exitCode = 255, message, reason }) => {
        const status = reason === "timeout" ? "timed_out" : "exit_failure"
        return Effect.as(Console.error(`${nameOf(script)}: ${message}`), { exit_code: exitCode, status } as const)
      })
    )
    yield* Queue.offer(timings, { script_id: script.id, start, end: yield* DateTime.now, stage, ...outcome })
    return outcome.status
  })

  /** Runs scripts at the same time, and returns what has become of them all. */
  const runAll = (scripts: ReadonlyArray<ManifestScript>, stage: Timing["stage"]) =>
    Effect.map(
      Effect.forEach(scripts, (script) => run(script, stage), { concurrency: "unbounded" }),
      (statuses) => (statuses.includes("exit_failure") ? "error" : statuses.includes("timed_out") ? "timeout" : "ok")
    )

  const follow = Effect.fnUntraced(function* (script: ManifestScript) {
    const cron = CronExpression.parse(script.cron)
    if (Result.isFailure(cron)) {
      return yield* Console.error(`${nameOf(script)} has no schedule of cron: ${cron.failure.message}`)
    }
    for (let due = (yield* DateTime.nowAsDate).getTime(); ;) {
      const now = (yield* DateTime.nowAsDate).getTime()
      // a timer may fire before it is due
      due = Cron.next(cron.success, Math.max(due, now)).getTime()
      yield* Effect.sleep(due - now)
      yield* Effect.forkChild(run(script, "cron"))
    }
  })

  const startUp = Effect.fnUntraced(function* (scripts: ReadonlyArray<ManifestScript>) {
    yield* become("starting")
    const outcome = yield* runAll(
      scripts.filter(({ run_on_start }) => run_on_start),
      "start"
    )
    yield* become(outcome === "ok" ? "ready" : `start_${outcome}`)
    const scheduled = scripts.filter(({ cron }) => cron !== "")
    yield* Effect.forEach(scheduled, follow, { concurrency: "unbounded", discard: true })
  })

  return {
    changes,
    timings,
    /** Runs the start scripts, and then the scripts with a schedule. Does nothing the second time. */
    start: (scripts: ReadonlyArray<ManifestScript>) =>
      Effect.suspend(() => {
        if (starting !== undefined) return Effect.void
        return Effect.map(Effect.forkIn(startUp(scripts), scope), (fiber) => void (starting = fiber))
      }),
    /** Runs the stop scripts. */
    stop: Effect.fnUntraced(function* (scripts: ReadonlyArray<ManifestScript>) {
      if (starting !== undefined) yield* Fiber.interrupt(starting)
      const outcome = yield* runAll(
        scripts.filter(({ run_on_stop }) => run_on_stop),
        "stop"
      )
      yield* become(outcome === "ok" ? "off" : `shutdown_${outcome}`)
    }),
    become
  }
})

export type Scripts = Effect.Success<ReturnType<typeof make>>

// ----- internals -----

const nameOf = ({ display_name, id }: ManifestScript) => `script ${display_name || id}`
