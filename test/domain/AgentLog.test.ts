import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as AgentLog from "../../src/domain/AgentLog.ts"
import { nil } from "../../src/domain/Ids.ts"

describe("a line of logs", () => {
  it("has one of five levels, and is read as it was written", () => {
    const decode = Schema.decodeUnknownResult(AgentLog.AgentLog)
    const line = (level: string) => ({
      id: 7,
      created_at: "2026-01-22T09:00:00.000Z",
      level,
      output: "one",
      source_id: nil
    })

    for (const level of ["trace", "debug", "info", "warn", "error"]) {
      const decoded = Result.getOrThrow(decode(line(level)))
      assert.deepStrictEqual(Schema.encodeSync(AgentLog.AgentLog)(decoded), line(level))
    }
    assert.isTrue(Result.isFailure(decode(line("fatal"))))
    assert.isTrue(Result.isFailure(decode({ ...line("info"), id: -1 })))
  })

  it("is cut after 1 024 characters, whatever their length", () => {
    assert.strictEqual(AgentLog.cut("x".repeat(1_024)), "x".repeat(1_024))
    assert.strictEqual(AgentLog.cut("x".repeat(1_025)), "x".repeat(1_024))
    assert.strictEqual(AgentLog.cut("😀".repeat(1_025)), "😀".repeat(1_024))
  })

  it("is announced on the channel of its agent with the number before it", () => {
    assert.strictEqual(Schema.encodeSync(AgentLog.Announcement)({ created_after: 6 }), `{"created_after":6}`)
    assert.isTrue(Result.isFailure(Schema.decodeResult(AgentLog.Announcement)("{}")))
  })
})
