/** Whether the time of some work grows in proportion to the length of a text, not with its square. */
import { assert } from "@effect/vitest"

const repeats = 3

/** The shortest time of a few runs, in milliseconds: the machine may do something else during one of them. */
const fastest = (work: () => unknown): number => {
  let best = Number.POSITIVE_INFINITY
  for (let run = 0; run < repeats; run++) {
    const start = process.cpuUsage()
    work()
    const { system, user } = process.cpuUsage(start)
    best = Math.min(best, (user + system) / 1_000)
  }
  return best
}

/**
 * Asserts that eight times the length takes less than 24 times as long; a square would take 64 times. Lengths at which
 * both are below 20 ms are fast enough.
 */
export const assertLinear = (name: string, work: (text: string) => unknown, pattern: string, length = 100_000) => {
  const textOf = (length: number) => pattern.repeat(Math.ceil(length / pattern.length))
  const [short, long] = [textOf(length), textOf(8 * length)]
  work(short)
  const [before, after] = [fastest(() => work(short)), fastest(() => work(long))]
  assert.isTrue(
    after < 20 || after < 24 * before,
    `${name} of ${JSON.stringify(pattern)}: ${before} ms, then ${after} ms`
  )
}
