/** Converts points into the columns of plots: the times, and the values of each line. */
import type { Point } from "../../operations/Overview.ts"

/** The most points that are kept: those of ten minutes. */
const maxPoints = 600

/** A longer pause between two points, in milliseconds, is a gap without a line: the page was hidden. */
const gapMillis = 5_000

/** Adds points that are newer than the last one, and removes the oldest. */
export const append = (points: ReadonlyArray<Point>, more: ReadonlyArray<Point>): ReadonlyArray<Point> => {
  const last = points.at(-1)?.at ?? 0
  return [...points, ...more.filter(({ at }) => at > last)].slice(-maxPoints)
}

export type Columns = [seconds: Array<number>, ...values: Array<Array<number | null>>]

/** Returns the times in seconds and the values of some lines; null where there is a gap. */
export const columns = (points: ReadonlyArray<Point>, ...keys: ReadonlyArray<Exclude<keyof Point, "at">>): Columns => {
  const rows = points.flatMap((point, index) => {
    const before = points[index - 1]
    const row = [point.at / 1_000, ...keys.map((key) => point[key])]
    return before !== undefined && point.at - before.at > gapMillis
      ? [[before.at / 1_000 + 1, ...keys.map(() => null)], row]
      : [row]
  })
  return [rows.map(([seconds]) => seconds!), ...keys.map((_, key) => rows.map((row) => row[key + 1]!))]
}
