/** Goes round a list: answers the next so many elements, and where they begin. */
import { Array } from "effect"

export const make = <A>(all: ReadonlyArray<A>) => {
  let next = 0
  return (count: number) => {
    const first = next
    next = (next + count) % all.length
    return { first, elements: Array.makeBy(count, (index) => all[(first + index) % all.length]!) }
  }
}
