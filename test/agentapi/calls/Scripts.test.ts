/** `ScriptCompleted`, called as an agent calls it, over a store that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Scripts from "../../../src/agentapi/calls/Scripts.ts"
import { calling, session } from "../../support/agentApi.ts"
import { agent } from "../../support/metadataBatcher.ts"
import { ScriptStore, type ScriptTiming } from "../../../src/agentapi/ports/ScriptStore.ts"

const connect = Effect.fnUntraced(function* (isOwn = true) {
  const timings: Array<ScriptTiming> = []
  const { ScriptCompleted } = yield* Effect.provideService(Scripts.make, ScriptStore, {
    addTiming: (agentId, timing) =>
      Effect.sync(() => {
        assert.strictEqual(agentId, agent(7))
        timings.push(timing)
        return isOwn
      })
  })
  return { timings, call: calling(Scripts.ScriptCompletedRequest, ScriptCompleted, session(agent(7))) }
})

const timing = {
  script_id: "10000000-0000-4000-8000-000000000001",
  start: "2026-03-01T12:00:00Z",
  end: "2026-03-01T12:00:05Z",
  exit_code: 1,
  stage: "STOP",
  status: "EXIT_FAILURE"
}

const zero = "0001-01-01T00:00:00Z"

/** The rejection of a timing that differs from a valid one. */
const refused = Effect.fnUntraced(function* (change: Partial<Record<keyof typeof timing, unknown>> | undefined) {
  const { call, timings } = yield* connect()
  const error = yield* Effect.flip(call(change === undefined ? {} : { timing: { ...timing, ...change } }))
  assert.deepStrictEqual(timings, [])
  return String(error)
})

describe("ScriptCompleted", () => {
  it.effect("stores a run with every stage and every end that there is [SC-06]", () =>
    Effect.gen(function* () {
      const { call, timings } = yield* connect()

      assert.deepStrictEqual(yield* call({ timing }), {})
      for (const stage of ["START", "STOP", "CRON"]) yield* call({ timing: { ...timing, stage } })
      for (const status of ["OK", "EXIT_FAILURE", "TIMED_OUT", "PIPES_LEFT_OPEN"]) {
        yield* call({ timing: { ...timing, status } })
      }

      const [first, ...others] = timings
      assert.strictEqual(first!.scriptId, timing.script_id)
      assert.strictEqual(first!.exitCode, 1)
      assert.strictEqual(first!.endedAt.epochMilliseconds - first!.startedAt.epochMilliseconds, 5_000)
      assert.deepStrictEqual(
        others.map(({ stage, status }) => `${stage} ${status}`),
        [
          "start exit_failure",
          "stop exit_failure",
          "cron exit_failure",
          "stop ok",
          "stop exit_failure",
          "stop timed_out",
          "stop pipes_left_open"
        ]
      )
    })
  )

  it.effect("takes what is left out for the first of its kind, and a run of no time", () =>
    Effect.gen(function* () {
      const { call, timings } = yield* connect()
      const { script_id, start } = timing

      yield* call({ timing: { script_id, start, end: start } })

      assert.deepInclude(timings[0]!, { exitCode: 0, stage: "start", status: "ok" })
    })
  )

  it.effect("rejects a call without a timing [SC-01]", () =>
    Effect.gen(function* () {
      assert.include(yield* refused(undefined), "timing")
    })
  )

  it.effect("rejects an id that is none, and a script of another agent [SC-02]", () =>
    Effect.gen(function* () {
      assert.include(yield* refused({ script_id: "script" }), "script_id")

      const { call } = yield* connect(false)
      assert.deepInclude(yield* Effect.flip(call({ timing })), { _tag: "InvalidRequest", field: "timing.script_id" })
    })
  )

  it.effect("rejects a start that is missing, zero or no time [SC-03]", () =>
    Effect.gen(function* () {
      for (const start of [undefined, null, zero, "-4000-01-01T00:00:00Z", "noon"]) {
        assert.include(yield* refused({ start }), `["start"]`)
      }
    })
  )

  it.effect("rejects an end that is missing, zero or no time [SC-04]", () =>
    Effect.gen(function* () {
      for (const end of [undefined, null, zero, "noon"]) assert.include(yield* refused({ end }), `["end"]`)
    })
  )

  it.effect("rejects a start after the end [SC-05]", () =>
    Effect.gen(function* () {
      assert.include(yield* refused({ start: timing.end, end: timing.start }), "a start that is not after the end")
    })
  )

  it.effect("rejects values that the database cannot hold", () =>
    Effect.gen(function* () {
      assert.include(yield* refused({ exit_code: 2 ** 31 }), "a number of 32 bits")
      assert.include(yield* refused({ stage: "LATER" }), "stage")
      assert.include(yield* refused({ status: "FINE" }), "status")
    })
  )
})
