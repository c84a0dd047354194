/** Goes round a list: returns the next elements and the place where they begin. */
import { Array } from "effect"

export const make = <A>(all: ReadonlyArray<A>) => {
  let next = 0
  return (count: number) => {
    const first = next
    next = (next + count) % all.length
    return { first, elements: Array.makeBy(count, (index) => all[(first + index) % all.length]!) }
  }
}
