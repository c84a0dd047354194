/** Whether the time of some work grows in proportion to the length of a text, not with its square. */
import { assert } from "@effect/vitest"

/** How often some work is measured: the fewest times, and the most where the machine does something else meanwhile. */
const [fewest, most] = [3, 30]

/** A time that is short enough for any text, in milliseconds. */
const enough = 20

/** The time of the processor that some work takes, in milliseconds. */
const timeOf = (work: () => unknown): number => {
  const start = process.cpuUsage()
  work()
  const { system, user } = process.cpuUsage(start)
  return (user + system) / 1_000
}

/**
 * Asserts that eight times the length takes less than 24 times as long; a square would take 64 times. Lengths at which
 * both are below 20 ms are fast enough.
 */
export const assertLinear = (name: string, work: (text: string) => unknown, pattern: string, length = 100_000) => {
  const textOf = (length: number) => pattern.repeat(Math.ceil(length / pattern.length))
  const [short, long] = [textOf(length), textOf(8 * length)]
  work(short)
  let [before, after] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  // the shortest times count: a collection of garbage may fall into any of them
  for (let run = 0; run < most && (run < fewest ? after >= enough : !isLinear(before, after)); run++) {
    before = Math.min(
      before,
      timeOf(() => work(short))
    )
    after = Math.min(
      after,
      timeOf(() => work(long))
    )
  }
  assert.isTrue(isLinear(before, after), `${name} of ${JSON.stringify(pattern)}: ${before} ms, then ${after} ms`)
}

const isLinear = (before: number, after: number) => after < enough || after < 24 * before
