import { assert, describe, it } from "@effect/vitest"
import { Cause, Console, Effect, Logger, Redacted, References, Tracer } from "effect"
import { SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { StoreError } from "../../src/domain/StoreError.ts"
import type * as LogRecord from "../../src/telemetry/LogRecord.ts"
import * as Logging from "../../src/telemetry/Logging.ts"

const secret = "0123456789abcdef"

/** The output for the log records of an effect. */
const written = <A, E>(format: (record: LogRecord.LogRecord) => string, effect: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const log = (line: string) => void lines.push(line)
    return effect.pipe(
      Effect.provide(Logger.layer([Logging.throttled(format)])),
      Effect.provideService(Console.Console, { ...globalThis.console, log }),
      Effect.as(lines)
    )
  })

const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

const failure = Effect.logError("it failed", Cause.fail(new Error(`no postgresql://ada:${secret}@db/app`))).pipe(
  Effect.annotateLogs({ agentId: "1", token: secret, header: Redacted.make(secret), sizes: { keys: 2 } })
)

describe("Logging", () => {
  it.effect("writes records as JSON, without secrets", () =>
    Effect.gen(function* () {
      const [line] = yield* written(Logging.json, failure)
      const { error, timestamp, ...record } = JSON.parse(line!)

      assert.deepStrictEqual(record, {
        level: "ERROR",
        message: "it failed",
        annotations: { agentId: "1", token: "<redacted>", header: "<redacted>", sizes: { keys: 2 } }
      })
      assert.strictEqual(timestamp, "1970-01-01T00:00:00.000Z")
      assert.strictEqual(error, "no postgresql://ada:<redacted>@db/app")
      assert.notInclude(line, secret)
    })
  )

  it.effect("writes a line for people, without secrets", () =>
    Effect.gen(function* () {
      const [line] = yield* written(Logging.terminal(false), failure)

      assert.strictEqual(
        line,
        "00:00:00.000 ERROR it failed: no postgresql://ada:<redacted>@db/app agentId=1 token=<redacted> " +
          'header=<redacted> sizes={"keys":2}'
      )
    })
  )

  it.effect("escapes what would forge a record, steer a terminal or turn text around [FT-18]", () =>
    Effect.gen(function* () {
      const forged = "x\n00:00:00.000 ERROR forged\r\u001b[2J\u009b31m\u202e\u2028\u0000\u007f"
      const logged = Effect.logWarning(forged, new Error(forged)).pipe(
        Effect.annotateLogs({ value: forged, [forged]: "1", list: [forged] })
      )
      for (const logger of [Logging.terminal(false), Logging.json]) {
        const [line, ...more] = yield* written(logger, logged)
        assert.deepStrictEqual(more, [])
        assert.notMatch(line!, /[\p{Cc}\u2028\u202e]/u)
        assert.include(line, "forged")
      }
      const [json] = yield* written(Logging.json, logged)
      assert.deepInclude(JSON.parse(json!), { message: forged, error: forged })

      const [died] = yield* written(Logging.terminal(false), Effect.logError("it died", Cause.die(new Error(forged))))
      for (const line of died!.split("\n").slice(1)) assert.match(line, /^ {2}/)
    })
  )

  it.effect("writes the message as one text, whatever is logged [FT-30]", () =>
    Effect.gen(function* () {
      const lines = [
        ...(yield* written(Logging.json, Effect.logInfo("one"))),
        ...(yield* written(Logging.json, Effect.logInfo("one", "two", { three: 3 }))),
        ...(yield* written(Logging.json, Effect.logInfo(new Error("alone")))),
        ...(yield* written(Logging.json, Effect.logInfo()))
      ]

      assert.deepStrictEqual(
        lines.map((line) => JSON.parse(line).message),
        ["one", 'one two {"three":3}', "", ""]
      )
    })
  )

  it.effect("tells the state, the statement and the message of a database error, without a stack [FT-29]", () =>
    Effect.gen(function* () {
      const server = Object.assign(new Error('relation "metadata" does not exist'), { code: "42P01" })
      const sql = new SqlError.SqlError({
        reason: new SqlError.SqlSyntaxError({ cause: server, message: "Query failed", operation: "execute" })
      })
      const error = new StoreError({ operation: "read metadata", reason: "unavailable", cause: sql })
      for (const logged of [Effect.logError("it failed", error), Effect.logError("it failed", Cause.fail(error))]) {
        const record = JSON.parse((yield* written(Logging.json, logged))[0]!)

        assert.deepInclude(record, { message: "it failed", sqlState: "42P01", statement: "read metadata" })
        assert.include(record.error, "cannot read metadata: Query failed")
        assert.include(record.error, 'relation "metadata" does not exist')
        assert.notInclude(JSON.stringify(record), "LogRecord.ts")
        assert.notInclude(JSON.stringify(record), "    at ")
      }
    })
  )

  it.effect("writes few of the same warnings and errors, and says how many were left out [FT-38]", () =>
    Effect.gen(function* () {
      const flood = Effect.gen(function* () {
        for (let report = 0; report < 1_000; report++) yield* Effect.logWarning("bad report", { report })
        yield* Effect.logWarning("another warning")
        yield* TestClock.adjust("10 seconds")
        yield* Effect.logWarning("bad report")
        for (let record = 0; record < 100; record++) yield* Effect.logInfo("no warning")
      })

      const records = (yield* written(Logging.json, flood)).map((line) => JSON.parse(line))

      const of = (text: string) => records.filter(({ message }) => message.startsWith(text))
      assert.strictEqual(of("bad report").length, Logging.burst + 1)
      assert.strictEqual(of("bad report").at(-1).suppressed, 1_000 - Logging.burst)
      assert.deepStrictEqual([of("another").length, of("no warning").length], [1, 100])
    })
  )

  it.effect("leaves out the data that a database error quotes [FT-29]", () =>
    Effect.gen(function* () {
      const server = Object.assign(new Error(`invalid input syntax for type uuid: "${secret}"`), {
        code: "22P02",
        detail: secret
      })

      const [line] = yield* written(Logging.json, Effect.logError("it failed", server))

      assert.deepInclude(JSON.parse(line!), { sqlState: "22P02", error: 'invalid input syntax for type uuid: "…"' })
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
