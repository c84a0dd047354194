import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Logger, Redacted, References, Tracer } from "effect"
import * as Logging from "../../src/telemetry/Logging.ts"

const secret = "0123456789abcdef"

/** What is written of what an effect logs. */
const written = <A, E>(logger: Logger.Logger<unknown, string>, effect: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const collect = Logger.map(logger, (line) => void lines.push(line))
    return effect.pipe(Effect.provide(Logger.layer([collect])), Effect.as(lines))
  })

const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

const failure = Effect.logError("it failed", Cause.fail(new Error(`no postgresql://ada:${secret}@db/app`))).pipe(
  Effect.annotateLogs({ agentId: "1", token: secret, header: Redacted.make(secret), sizes: { keys: 2 } })
)

describe("Logging", () => {
  it.effect("writes records as JSON, without secrets", () =>
    Effect.gen(function* () {
      const [line] = yield* written(Logging.json, failure)
      const { cause, timestamp, ...record } = JSON.parse(line!)

      assert.deepStrictEqual(record, {
        level: "ERROR",
        message: "it failed",
        annotations: { agentId: "1", token: "<redacted>", header: "<redacted>", sizes: { keys: 2 } }
      })
      assert.strictEqual(timestamp, "1970-01-01T00:00:00.000Z")
      assert.include(cause, "no postgresql://ada:<redacted>@db/app")
      assert.notInclude(line, secret)
    })
  )

  it.effect("writes a line for people, and the cause below it, without secrets", () =>
    Effect.gen(function* () {
      const [line] = yield* written(Logging.terminal(false), failure)
      const [first, second] = line!.split("\n")

      assert.strictEqual(
        first,
        '00:00:00.000 ERROR it failed agentId=1 token=<redacted> header=<redacted> sizes={"keys":2}'
      )
      assert.match(second!, /^ {2}Error: no postgresql:\/\/ada:<redacted>@db\/app/)
      assert.notInclude(line, secret)
    })
  )

  it.effect("tells the trace of a record that is logged within a span that is kept", () =>
    Effect.gen(function* () {
      const inSpan = Effect.gen(function* () {
        yield* Effect.logInfo("here")
        return yield* Effect.currentSpan
      }).pipe(Effect.withSpan("work"), Effect.orDie)
      const traced = Effect.withTracer(inSpan, tracer)
      const ids = (line: string | undefined) => Object.keys(JSON.parse(line!)).filter((name) => name.endsWith("Id"))

      assert.deepStrictEqual(ids((yield* written(Logging.json, traced))[0]), ["traceId", "spanId"])
      assert.match((yield* written(Logging.terminal(false), traced))[0]!, /INFO {2}here trace=[\da-f]{32}$/)
      // nobody could look these up
      assert.deepStrictEqual(ids((yield* written(Logging.json, inSpan))[0]), [])
      const off = Effect.provideService(traced, References.TracerEnabled, false)
      assert.deepStrictEqual(ids((yield* written(Logging.json, Effect.ignore(off)))[0]), [])
    })
  )
})
