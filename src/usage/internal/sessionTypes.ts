/** Limits the types of sessions, because they become labels of metrics. */
import type { StatsRow } from "../StatsStore.ts"

/** The type of sessions beyond the limit. */
export const unknown = "unknown"

const wellKnown = ["vscode", "jetbrains", "reconnecting_pty", "ssh", unknown]

/** Returns rows with at most `max` types of sessions beside the well-known ones; all others become {@link unknown}. */
export const limit = (rows: ReadonlyArray<StatsRow>, max: number): ReadonlyArray<StatsRow> => {
  const known = new Set(wellKnown)
  const limited = (counts: Readonly<Record<string, number>>) => {
    const kept = new Map<string, number>()
    for (const [type, sessions] of Object.entries(counts)) {
      if (known.size < wellKnown.length + max) known.add(type)
      const name = known.has(type) ? type : unknown
      kept.set(name, (kept.get(name) ?? 0) + sessions)
    }
    return Object.fromEntries(kept)
  }
  return rows.map((row) => ({
    ...row,
    figures: { ...row.figures, session_counts: limited(row.figures.session_counts) }
  }))
}
