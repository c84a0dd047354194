/**
 * Records the samples that every agent has sent and that the service has accepted. Samples are numbered, so that a value
 * names its sample.
 */
import { Clock, Effect } from "effect"
import { expect, type Outcome } from "./scenario.ts"

export interface Row {
  readonly agentId: string
  readonly key: string
  readonly value: string
}

/** A key whose newest accepted value is not there. */
export interface Missing {
  readonly agentId: string
  readonly key: string
  readonly accepted: number
  /** The sample that is there instead; 0 for none. */
  readonly found: number
}

export interface Comparison {
  readonly accepted: number
  readonly present: number
  readonly missing: ReadonlyArray<Missing>
  /** Rows with a value that nobody has sent. */
  readonly invented: number
}

export interface Ledger {
  /** The number of an agent's next report. */
  readonly next: (agentId: string) => number
  /** The report of this number, with these keys, was accepted. */
  readonly accept: (agentId: string, keys: ReadonlyArray<string>, number: number) => Effect.Effect<void>
  /** Compares stored rows with the newest samples that were accepted until `until`, by default until now. */
  readonly compare: (rows: ReadonlyArray<Row>, until?: number) => Comparison
  /** The keys of which nothing was accepted after `at`. */
  readonly silentSince: (at: number) => number
  /** The longest time between two acceptances of a key, in milliseconds, and when it began. */
  readonly longestGap: () => { readonly millis: number; readonly from: number }
}

interface Acceptance {
  readonly at: number
  readonly number: number
}

/** The acceptances that are kept of each key. */
const maxKept = 512

export const numberOf = (value: string): number => Number.parseInt(value) || 0

const identity = (agentId: string, key: string) => `${agentId} ${key}`

export const make = (): Ledger => {
  const sent = new Map<string, number>()
  const accepted = new Map<string, Array<Acceptance>>()

  return {
    next: (agentId) => {
      const number = (sent.get(agentId) ?? 0) + 1
      sent.set(agentId, number)
      return number
    },
    accept: (agentId, keys, number) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        for (const key of keys) {
          const id = identity(agentId, key)
          const list = accepted.get(id) ?? []
          accepted.set(id, list)
          list.push({ at, number })
          // the newest are compared, and those of the last seconds
          if (list.length > maxKept) list.splice(0, maxKept / 2)
        }
      }),
    compare: (rows, until = Infinity) => {
      const stored = new Map(rows.map(({ agentId, key, value }) => [identity(agentId, key), numberOf(value)]))
      const missing: Array<Missing> = []
      let count = 0
      for (const [id, list] of accepted) {
        const newest = list.findLast(({ at }) => at <= until)?.number
        if (newest === undefined) continue
        count++
        const [agentId = "", key = ""] = id.split(" ")
        const found = stored.get(id) ?? 0
        if (found < newest) missing.push({ agentId, key, accepted: newest, found })
      }
      return {
        accepted: count,
        present: count - missing.length,
        missing,
        invented: rows.filter(({ agentId, value }) => numberOf(value) > (sent.get(agentId) ?? 0)).length
      }
    },
    silentSince: (at) => [...accepted.values()].filter((list) => list.at(-1)!.at <= at).length,
    longestGap: () =>
      [...accepted.values()]
        .flatMap((list) =>
          list.slice(1).map(({ at }, index) => ({ millis: at - list[index]!.at, from: list[index]!.at }))
        )
        .reduce((longest, gap) => (gap.millis > longest.millis ? gap : longest), { millis: 0, from: 0 })
  }
}

/** The outcome of a comparison, of a service that has counted so many entries as lost. */
export const outcome = ({ accepted, missing, present }: Comparison, counted = 0): Outcome => ({
  accepted,
  present,
  lost: missing.length,
  counted,
  problems: expect(accepted > 0, "nothing was accepted")
})
