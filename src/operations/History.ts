/**
 * Keeps the points of the plots in several ranges: those of a longer range cover more seconds each.
 *
 * - A point that covers several seconds has the means of their rates, and the greatest of everything else: a peak stays
 *   visible.
 * - The last point of a range covers the seconds since the one before, so that each range ends with the last point added.
 * - The points that all replicas keep cover the same seconds in each of them, so that their sums make sense.
 */
import type { Point } from "./Overview.ts"

/** The points of a range. */
export const length = 600

/** The seconds that each point of a range covers. */
export const secondsOfPoint = { "10m": 1, "1h": 6, "6h": 36, "1d": 144 } as const

export type Range = keyof typeof secondsOfPoint

export const ranges = Object.keys(secondsOfPoint) as ReadonlyArray<Range>

/** The ranges that are made of the points that replicas keep. */
const keptRanges: ReadonlySet<Range> = new Set(["6h", "1d"])

/** Whether a range is of all replicas, also of the time before a restart, and not of this replica since its start. */
export const isKept = (range: Range): boolean => keptRanges.has(range)

/** The milliseconds that a kept point covers. */
const slotMillis = secondsOfPoint["6h"] * 1_000

class Tier {
  /** The least time from the first reading of a point to that of the next one: readings are not quite a second apart. */
  readonly #millis: number
  readonly #points: Array<Point> = []
  /** The points of the last one, which is not complete. */
  #open: Array<Point> = []

  constructor(seconds: number) {
    this.#millis = seconds * 1_000 - 500
  }

  add(point: Point): void {
    const [first] = this.#open
    if (first !== undefined && point.at - first.at >= this.#millis) {
      this.#points.push(summary(this.#open))
      if (this.#points.length >= length) this.#points.shift()
      this.#open = []
    }
    this.#open.push(point)
  }

  get points(): ReadonlyArray<Point> {
    return this.#open.length === 0 ? [] : [...this.#points, summary(this.#open)]
  }
}

export const make = () => {
  const tiers = new Map(ranges.map((range) => [range, new Tier(secondsOfPoint[range])]))
  let slot: Array<Point> = []
  return {
    /** Adds a point. Returns the one to keep if it is the first beyond the seconds that such a one covers. */
    add: (point: Point): Point | undefined => {
      for (const tier of tiers.values()) tier.add(point)
      const at = slotEnd(slot[0] ?? point)
      if (slotEnd(point) === at) {
        slot.push(point)
        return undefined
      }
      const kept = { ...summary(slot), at }
      slot = [point]
      return kept
    },
    points: (range: Range): ReadonlyArray<Point> => tiers.get(range)!.points
  }
}

/** The end of the seconds of a kept point in which a point lies. */
const slotEnd = ({ at }: Point) => (Math.floor(at / slotMillis) + 1) * slotMillis

/** Returns the points of a range that are made of kept ones. */
export const ofKept = (points: ReadonlyArray<Point>, range: Range): ReadonlyArray<Point> => {
  const tier = new Tier(secondsOfPoint[range])
  for (const point of points) tier.add(point)
  return tier.points
}

const summary = (points: ReadonlyArray<Point>): Point => {
  const mean = (of: (point: Point) => number) =>
    Math.round((100 * points.reduce((sum, point) => sum + of(point), 0)) / points.length) / 100
  const most = (of: (point: Point) => number) => Math.max(...points.map(of))
  const mostOfKnown = (of: (point: Point) => number | null) => {
    const known = points.map(of).filter((value) => value !== null)
    return known.length === 0 ? null : Math.max(...known)
  }
  return {
    at: points.at(-1)!.at,
    agents: most(({ agents }) => agents),
    updates: mean(({ updates }) => updates),
    rows: mean(({ rows }) => rows),
    statements: mean(({ statements }) => statements),
    notifies: mean(({ notifies }) => notifies),
    pending: most(({ pending }) => pending),
    queued: most(({ queued }) => queued),
    writtenAge: mostOfKnown(({ writtenAge }) => writtenAge),
    watchDelay: mostOfKnown(({ watchDelay }) => watchDelay)
  }
}
