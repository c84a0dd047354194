/** Rules and observers of users, with bugs and of every shape. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import type * as Batcher from "../../src/batcher/Batcher.ts"
import { heapBytes } from "../support/heap.ts"
import { collectLogs, type LogRecord } from "../support/logs.ts"
import { failTimes, keyedNumbers, settle, start } from "../support/numberBatcher.ts"

const isBad = (number: number) => number < 0

const throwIf = (isBug: boolean) => {
  if (isBug) throw new Error("a bug")
}

/** Numbers of one remainder by ten merge into the newest. */
const withBugIn = (rule: "key" | "merge") =>
  Accumulator.keyed<number, number>({
    key: (number) => {
      throwIf(rule === "key" && isBad(number))
      return Math.abs(number) % 10
    },
    merge: (_, newer) => {
      throwIf(isBad(newer))
      return newer
    }
  }) as Accumulator.Accumulator<unknown, number>

const assertAccounts = (batcher: Batcher.Batcher<number>) => {
  const { accepted, inFlight, lost, merged, pending, queued, written } = batcher.accountingUnsafe()
  const gone = Object.values(lost).reduce((sum, count) => sum + count, written + merged)
  assert.strictEqual(accepted, gone + queued + pending + inFlight)
}

describe("a rule that throws", () => {
  for (const rule of ["key", "merge"] as const) {
    const startWithBug = (options: Partial<Batcher.Options<unknown, number, string, never>> = {}) =>
      Effect.gen(function* () {
        const lost: Array<number> = []
        const { batcher, batches } = yield* start({
          accumulator: withBugIn(rule),
          observer: {
            onLost: (updates, reason) => Effect.sync(() => reason === "defect" && lost.push(...updates))
          },
          ...options
        })
        return { batcher, batches, lost }
      })

    it.effect(`in ${rule} loses its update alone, which is handed over [BA-25]`, () =>
      Effect.gen(function* () {
        const { batcher, batches, lost } = yield* startWithBug()

        assert.strictEqual(yield* batcher.add([1, -1, 2, -1, 3]), 0)
        assert.strictEqual(yield* batcher.add([-1, 4]), 0)
        yield* batcher.flush

        assert.deepStrictEqual(batches, [[1, 2, 3, 4]])
        assert.deepStrictEqual(lost, [-1, -1, -1])
        assertAccounts(batcher)
      })
    )

    it.effect(`in ${rule} tells the caller that waits for its update, and no other [BA-25]`, () =>
      Effect.gen(function* () {
        const { batcher } = yield* startWithBug()
        const outcomes = yield* Effect.forEach([[1], [-1], [2]], (updates) =>
          Effect.forkChild(Effect.result(batcher.addAndWait(updates)), { startImmediately: true })
        )
        yield* batcher.flush
        const [first, second, third] = yield* Effect.forEach(outcomes, Fiber.join)

        assert.deepStrictEqual([first?._tag, third?._tag], ["Success", "Success"])
        const failure = second?._tag === "Failure" ? second.failure : undefined
        assert.deepStrictEqual([failure?._tag, failure?.updates], ["Lost", [-1]])
      })
    )

    it.effect(`in ${rule} loses nothing else while a flush or a full mailbox holds updates up [BA-25]`, () =>
      Effect.gen(function* () {
        const { batcher, batches, lost } = yield* startWithBug({
          maxBatchSize: 2,
          queueCapacity: 4,
          write: () => Effect.sleep("100 millis")
        })
        yield* batcher.add([1, 2])
        yield* settle
        yield* batcher.add([3, -3])
        const flushing = yield* Effect.forkChild(batcher.flush, { startImmediately: true })
        yield* batcher.add([4, -3])
        const waiting = yield* Effect.forkChild(batcher.offer([5, 6, -5]), { startImmediately: true })
        assertAccounts(batcher)

        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(flushing)
        yield* Fiber.join(waiting)

        assert.sameMembers([...batches.flat(), ...lost], [1, 2, 3, 4, 5, 6, -3, -3, -5])
        assert.includeMembers(batches.flat(), [1, 2, 3, 4, 5, 6])
        assertAccounts(batcher)
      })
    )
  }

  it.effect("in take leaves the batcher at work [BA-25]", () =>
    Effect.gen(function* () {
      let isBroken = true
      const fifo = Accumulator.fifo<number>() as Accumulator.Accumulator<unknown, number>
      const { batcher, batches } = yield* start({
        accumulator: {
          ...fifo,
          take: (...call) => {
            throwIf(isBroken)
            return fifo.take(...call)
          }
        }
      })
      yield* batcher.add([1])

      assert.strictEqual((yield* batcher.flush).outcome, "failed")
      isBroken = false
      assert.strictEqual((yield* batcher.flush).outcome, "completed")

      assert.deepStrictEqual(batches, [[1]])
      isBroken = true
      yield* batcher.add([2])
      assert.deepStrictEqual(yield* batcher.closeNow, [])
      assert.strictEqual((yield* batcher.accounting).lost.defect, 1)
      assertAccounts(batcher)
    })
  )

  it.effect("in restore loses the batch that failed, which is handed over, and no other [BA-25]", () =>
    Effect.gen(function* () {
      const lost: Array<unknown> = []
      const { batcher, batches } = yield* start({
        accumulator: {
          ...keyedNumbers,
          restore: () => {
            throw new Error("a bug")
          }
        },
        maxBatchSize: 2,
        onWriteFailure: "retain",
        observer: { onLost: (updates, reason) => Effect.sync(() => lost.push([updates, reason])) },
        write: failTimes(1)
      })
      const waiting = yield* Effect.forkChild(Effect.flip(batcher.addAndWait([1, 2])), { startImmediately: true })
      yield* settle
      yield* batcher.add([3])

      assert.deepInclude(yield* batcher.flushNow, { outcome: "completed", written: 1 })
      const error = yield* Fiber.join(waiting)
      assert.deepStrictEqual([error._tag, error.updates], ["Lost", [1, 2]])
      assert.deepStrictEqual(lost, [[[1, 2], "defect"]])
      assert.deepStrictEqual(batches, [[3]])
      const { lost: counted, retained } = yield* batcher.accounting
      assert.deepStrictEqual([counted.defect, retained], [2, 0])
      assertAccounts(batcher)
    })
  )

  it.effect("in restore is told to the flush that waits [BA-25]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({
        accumulator: {
          ...keyedNumbers,
          restore: () => {
            throw new Error("a bug")
          }
        },
        onWriteFailure: "retain",
        write: failTimes(1)
      })
      yield* batcher.add([1, 2])

      assert.deepInclude(yield* batcher.flush, { outcome: "failed", lost: 2, retained: 0 })
    })
  )

  it.effect("and one that adds to its own batcher leave the accounts in order [BA-25]", () =>
    Effect.gen(function* () {
      let added = 100
      const addAndReturn = (result: number): number => {
        if (added < 120) batcher.addUnsafe([added++])
        return result
      }
      const { batcher }: { batcher: Batcher.Batcher<number> } = yield* start({
        accumulator: Accumulator.keyed<number, number>({
          key: (number) => number % 50,
          merge: (_, newer) => addAndReturn(newer)
        }) as Accumulator.Accumulator<unknown, number>,
        maxBatchSize: 3,
        maxBatchBytes: 100,
        sizeOf: () => addAndReturn(1)
      })

      yield* batcher.add([1, 2, 1, 2])
      yield* batcher.flush

      assertAccounts(batcher)
    })
  )

  it.effect("or that changes a key holds up nobody beyond the end of the batcher [BA-09]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({
        accumulator: Accumulator.keyed<number, number>({
          key: (number) => number,
          merge: () => 2
        }) as Accumulator.Accumulator<unknown, number>
      })
      yield* batcher.add([1])
      const waiting = yield* Effect.forkChild(Effect.flip(batcher.addAndWait([1])), { startImmediately: true })
      yield* batcher.flush

      yield* batcher.closeNow

      const error = yield* Fiber.join(waiting)
      assert.deepStrictEqual([error._tag, error._tag === "Lost" && error.reason, error.updates], ["Lost", "defect", []])
    })
  )
})

describe("an observer", () => {
  /** Lets a batcher tell everything that it tells an observer, and returns what is logged. */
  const tellAll = Effect.fnUntraced(function* (observer: Batcher.Observer<number, string>) {
    const logs: Array<LogRecord> = []
    yield* Effect.gen(function* () {
      const { batcher } = yield* start({
        observer,
        accumulator: withBugIn("key"),
        onWriteFailure: "retain",
        maxAttempts: 1,
        isRejection: (error) => error === "bad",
        write: (batch) =>
          batch.includes(2) ? Effect.fail("bad") : batch.includes(3) ? Effect.fail("away") : Effect.void
      })
      for (const number of [1, 2, 3, -1]) {
        yield* batcher.add([number])
        yield* batcher.flush
      }
      yield* settle
    }).pipe(Effect.scoped, collectLogs(logs))
    return logs.filter(({ level, message }) => level === "Error" && !message.includes("a rule of a batcher"))
  })
  const told = [
    "onTake",
    "onWritten",
    "onFailed",
    "onRejected",
    "onGivenUp",
    "onLost",
    "onDraining",
    "onClosed"
  ] as const satisfies ReadonlyArray<keyof Batcher.Observer<number, string>>

  it.effect("need not listen for anything", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* tellAll({}), [])
    })
  )

  for (const name of told) {
    it.effect(`that returns no effect from ${name} is logged`, () =>
      Effect.gen(function* () {
        const logs = yield* tellAll({ [name]: () => "no effect" })

        assert.isAbove(logs.length, 0)
        for (const { cause, message } of logs) {
          assert.strictEqual(message, "batcher observer failed")
          assert.include(cause, "must return an Effect")
        }
      })
    )
  }
})

describe("a size", () => {
  for (const size of [Number.NaN, -100]) {
    it.effect(`of ${size} counts as none, and those of other updates count [BA-25]`, () =>
      Effect.gen(function* () {
        const { batcher, batches } = yield* start({
          maxBatchBytes: 20,
          sizeOf: (number) => (number === 1 ? size : 10)
        })
        yield* batcher.add([1, 2, 3, 4])
        yield* batcher.flush

        assert.deepStrictEqual(batches, [[1, 2, 3], [4]])
      })
    )
  }
})

/** The same as `keyedNumbers`, with rules that need `this`. */
class Numbers implements Accumulator.Accumulator<unknown, number> {
  readonly #rules = keyedNumbers
  readonly sources = new (class {
    readonly name = "everybody"
    of() {
      return this.name
    }
    count() {
      return 0
    }
  })()
  empty() {
    return this.#rules.empty()
  }
  size(state: unknown) {
    return this.#rules.size(state)
  }
  has(state: unknown, update: number) {
    return this.#rules.has(state, update)
  }
  keyOf(update: number) {
    return this.#rules.keyOf!(update)
  }
  add(state: unknown, updates: ReadonlyArray<number>, from: number, to: number) {
    return this.#rules.add(state, updates, from, to)
  }
  restore(state: unknown, updates: ReadonlyArray<number>) {
    return this.#rules.restore(state, updates)
  }
  take(state: unknown, max: number, select?: (update: number) => Accumulator.Selection) {
    return this.#rules.take(state, max, select)
  }
}

class Counting implements Batcher.Observer<number, string> {
  written = 0
  lost = 0
  onWritten({ count }: Batcher.Written<number>) {
    return Effect.sync(() => void (this.written += count))
  }
  onClosed({ cutOff }: Batcher.Closed<number>) {
    return Effect.sync(() => void (this.lost += cutOff))
  }
}

describe("an instance of a class", () => {
  it.effect("may be the accumulator [BA-38]", () =>
    Effect.gen(function* () {
      const { batcher, batches } = yield* start({
        accumulator: new Numbers(),
        maxBatchSize: 2,
        maxPendingPerSource: 100,
        write: () => Effect.sleep("100 millis")
      })
      yield* batcher.add([1, 2])
      yield* settle
      yield* Effect.forkChild(batcher.flush, { startImmediately: true })
      const waiting = yield* Effect.forkChild(batcher.addAndWait([3]), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(waiting)

      assert.deepStrictEqual(batches, [[1, 2], [3]])
    })
  )

  it.effect("may be the observer, also if it hears of no failures [BA-38]", () =>
    Effect.gen(function* () {
      const observer = new Counting()
      const { batcher } = yield* start({ observer })
      yield* batcher.add([1, 2])
      yield* batcher.flush

      assert.strictEqual(observer.written, 2)
    })
  )
})

describe("a caller that is interrupted", () => {
  it.effect("while it waits for an update that merges leaves nothing behind [BA-39]", () =>
    Effect.gen(function* () {
      const { batcher } = yield* start({ accumulator: keyedNumbers, maxPending: 1_000 })
      yield* batcher.pause
      yield* batcher.add([1])
      const wait = Effect.forEach(Array(4_000), () =>
        Effect.flatMap(Effect.forkChild(batcher.addAndWait([1]), { startImmediately: true }), Fiber.interrupt)
      )
      yield* wait
      const before = heapBytes()
      yield* wait

      assert.isBelow((heapBytes() - before) / 4_000, 40)
    })
  )
})
