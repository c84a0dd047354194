/** Converts points into the columns of plots: the times, and the values of each line. */
import { length } from "../../operations/History.ts"
import type { Point } from "../../operations/Overview.ts"

/** A longer pause between two points, in the time that a point covers, is a gap without a line: the page was hidden. */
const gap = 5

/** Adds points that are newer than the last one, and removes the oldest. */
export const append = (points: ReadonlyArray<Point>, more: ReadonlyArray<Point>): ReadonlyArray<Point> => {
  const last = points.at(-1)?.at ?? 0
  return [...points, ...more.filter(({ at }) => at > last)].slice(-length)
}

export type Columns = [seconds: Array<number>, ...values: Array<Array<number | null>>]

/** Returns the times in seconds and the values of some lines; null where there is a gap, or no value. */
export const columns = (
  points: ReadonlyArray<Point>,
  secondsOfPoint: number,
  ...keys: ReadonlyArray<Exclude<keyof Point, "at">>
): Columns => {
  const rows = points.flatMap((point, index) => {
    const before = points[index - 1]
    const row = [point.at / 1_000, ...keys.map((key) => point[key])]
    return before !== undefined && point.at - before.at > gap * secondsOfPoint * 1_000
      ? [[before.at / 1_000 + 1, ...keys.map(() => null)], row]
      : [row]
  })
  return [rows.map(([seconds]) => seconds!), ...keys.map((_, key) => rows.map((row) => row[key + 1]!))]
}
