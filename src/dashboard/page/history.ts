/** The numbers that the values of an agent held while the page was open. */
import type { MetadataView } from "../../domain/MetadataView.ts"

/** The most numbers of a key that are kept. */
const maxNumbers = 120

/** For each key its numbers, and the time of collection of the last one. */
export type History = ReadonlyMap<string, { readonly collectedAt: string; readonly numbers: ReadonlyArray<number> }>

/** Returns the number that a value begins with, such as 42 for "42 %". */
const numberOf = (value: string): number | undefined => {
  const number = /^\s*(-?\d+(?:\.\d+)?)(?![\w.:/-]*[\d/:-])/.exec(value)?.[1]
  return number === undefined ? undefined : Number(number)
}

/** Adds the values that were collected since. */
export const remember = (history: History, views: ReadonlyArray<MetadataView>): History =>
  new Map(
    views.flatMap(({ description: { key }, result: { collected_at, error, value } }) => {
      const before = history.get(key)
      const number = error === "" ? numberOf(value) : undefined
      if (number === undefined || before?.collectedAt === collected_at)
        return before === undefined ? [] : [[key, before]]
      return [[key, { collectedAt: collected_at, numbers: [...(before?.numbers ?? []), number].slice(-maxNumbers) }]]
    })
  )
