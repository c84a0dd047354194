import { assert, describe, it } from "@effect/vitest"
import { Cron, DateTime, Option, Result } from "effect"
import * as CronExpression from "../../src/domain/CronExpression.ts"

/** The next times after a moment, in UTC. */
const next = (expression: string, count = 2) => {
  const cron = Result.getOrThrow(CronExpression.parse(expression))
  const times: Array<string> = []
  for (let at = new Date("2026-03-02T10:00:00Z"); times.length < count; times.push(at.toISOString()))
    at = Cron.next(cron, at)
  return times
}

describe("an expression of cron", () => {
  it("begins with the seconds, and may end with the month [AG-07]", () => {
    assert.deepStrictEqual(next("TZ=UTC 30 * * * *"), ["2026-03-02T10:00:30.000Z", "2026-03-02T10:01:30.000Z"])
    assert.deepStrictEqual(next("TZ=UTC 0 30 6 ? * MON-FRI"), ["2026-03-03T06:30:00.000Z", "2026-03-04T06:30:00.000Z"])
  })

  it("has the time zone that it names [AG-07]", () => {
    assert.deepStrictEqual(next("CRON_TZ=Asia/Tokyo 0 0 9 * * *", 1), ["2026-03-03T00:00:00.000Z"])
  })

  it("has the time zone of the machine without one, whatever white space is around it [AG-07]", () => {
    assert.deepStrictEqual(next(" 30  * * * *\n"), ["2026-03-02T10:00:30.000Z", "2026-03-02T10:01:30.000Z"])
    assert.deepStrictEqual(next("\n TZ=UTC\t30 * * *\n* "), ["2026-03-02T10:00:30.000Z", "2026-03-02T10:01:30.000Z"])
    assert.deepStrictEqual(
      Result.getOrThrow(CronExpression.parse("30 * * * *")).tz,
      Option.some(DateTime.zoneMakeLocal())
    )
  })

  it("is refused with other fields [AG-07]", () => {
    for (const expression of [
      "",
      "in TZ=UTC 0 * * * *",
      "at dawn",
      "* * * *",
      "* * * * * * *",
      "61 * * * * *",
      "TZ=Nowhere * * * * * *"
    ]) {
      assert.isTrue(Result.isFailure(CronExpression.parse(expression)), expression)
    }
  })
})
