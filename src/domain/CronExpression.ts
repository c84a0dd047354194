/**
 * The schedules of scripts: expressions of cron as stock agents read them.
 *
 * - The fields are second, minute, hour, day of the month, month and day of the week; the last may be absent.
 * - `?` is the same as `*`.
 * - The time zone is that of the machine, unless the expression begins with `TZ=Europe/Berlin` or `CRON_TZ=…`.
 */
import { Cron, DateTime, type Result } from "effect"

export const parse = (expression: string): Result.Result<Cron.Cron, Cron.CronParseError> => {
  const zoned = /^(?:CRON_)?TZ=(\S+)(.*)/s.exec(expression.trim())
  const fields = (zoned?.[2] ?? expression).trim().replaceAll("?", "*").split(/\s+/)
  return Cron.parse(
    [...fields, ...(fields.length === 5 ? ["*"] : [])].join(" "),
    zoned?.[1] ?? DateTime.zoneMakeLocal()
  )
}
