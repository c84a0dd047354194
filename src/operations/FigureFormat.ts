/** Formats figures for people, and decides when a value is stale. */

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })

/** Formats a whole number, from a hundred thousand on in short form. */
export const count = (value: number): string => (Math.abs(value) < 100_000 ? grouped : short).format(value)

/** Formats a number per second, with one digit below ten. */
export const rate = (value: number): string =>
  value === 0 ? "0" : value < 0.1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : count(value)

/** Formats seconds in the two largest units. */
export const duration = (seconds: number): string => {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`
}

/** Formats an age in one unit. */
export const age = (seconds: number): string => {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** Returns whether more than three intervals have passed since a value was collected. A value collected once is never stale. */
export const isStale = (ageSeconds: number, intervalSeconds: number): boolean =>
  intervalSeconds > 0 && ageSeconds > 3 * intervalSeconds

/** Returns whether a value was ever collected. The time of one that was not is the first day of the calendar. */
export const isCollected = (collectedAt: string): boolean => !collectedAt.startsWith("0001-")

const [escape, bell] = [String.fromCodePoint(27), String.fromCodePoint(7)]
const steering = new RegExp(
  `${escape}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${bell}${escape}]*(?:${bell}|${escape}\\\\)?|[@-_])`,
  "g"
)

/** Returns a line without control sequences of terminals. */
export const plain = (line: string): string => line.replaceAll(steering, "").replaceAll("\r", "")
