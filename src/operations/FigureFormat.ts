/** How figures are written for people, and when a value is too old to believe. */

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })

/** A whole number; short from a hundred thousand on. */
export const count = (value: number): string => (Math.abs(value) < 100_000 ? grouped : short).format(value)

/** A number per second: with one digit below ten, so that little is not nothing. */
export const rate = (value: number): string =>
  value === 0 ? "0" : value < 0.1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : count(value)

/** A number of seconds in the two units that say most. */
export const duration = (seconds: number): string => {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`
}

/** How long ago something was, in one unit. */
export const age = (seconds: number): string => {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** Whether three intervals have passed since a value was collected. One that is collected once does not grow old. */
export const isStale = (ageSeconds: number, intervalSeconds: number): boolean =>
  intervalSeconds > 0 && ageSeconds > 3 * intervalSeconds

/** Whether a value was ever collected: the database keeps the first day of its calendar for those that were not. */
export const isCollected = (collectedAt: string): boolean => !collectedAt.startsWith("0001-")

const [escape, bell] = [String.fromCodePoint(27), String.fromCodePoint(7)]
const steering = new RegExp(
  `${escape}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${bell}${escape}]*(?:${bell}|${escape}\\\\)?|[@-_])`,
  "g"
)

/** A line without what steers terminals. */
export const plain = (line: string): string => line.replaceAll(steering, "").replaceAll("\r", "")
