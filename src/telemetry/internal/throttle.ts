/** Limits how often records of one kind are written. */

/** The maximum number of records of one kind in a window. */
export const burst = 20

/** The length of a window, in milliseconds. */
const windowMillis = 10_000

/** The maximum number of kinds that are tracked; the oldest is forgotten first. */
const maxKinds = 1_000

interface Window {
  readonly endsAt: number
  written: number
  suppressed: number
}

/**
 * Returns a function that decides about a record, given its kind and its time. The function returns `undefined` for a
 * record to suppress, and otherwise the number of records that were suppressed before it.
 */
export const make = () => {
  const windows = new Map<string, Window>()
  return (kind: string, now: number): number | undefined => {
    const current = windows.get(kind)
    if (current !== undefined && now < current.endsAt && now >= current.endsAt - windowMillis) {
      if (current.written === burst) {
        current.suppressed++
        return undefined
      }
      current.written++
      return 0
    }
    windows.delete(kind)
    windows.set(kind, { endsAt: now + windowMillis, written: 1, suppressed: 0 })
    if (windows.size > maxKinds) windows.delete(windows.keys().next().value!)
    return current?.suppressed ?? 0
  }
}
