/**
 * The header of the batcher as a property: whatever is added, however the store behaves and whenever the scope closes,
 * nothing is lost silently, nothing is written twice or out of order, and every bound holds.
 */
import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, Exit, Fiber, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"

/** Updates of a key merge into one that lists their numbers, so that each can be followed to its end. */
interface Update {
  readonly key: number
  readonly numbers: ReadonlyArray<number>
}

const lists = Accumulator.keyed<Update, number>({
  key: ({ key }) => key,
  merge: (older, newer) => ({ key: newer.key, numbers: [...older.numbers, ...newer.numbers] })
})

class Refused extends Data.TaggedError("Refused")<{ readonly forItsData: boolean }> {}

const poisonous = 3

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Step = Schema.Union([
  Schema.TaggedStruct("Add", { keys: Schema.Array(int(0, 3)).check(Schema.isMaxLength(6)) }),
  Schema.TaggedStruct("Wait", { millis: int(0, 400) }),
  Schema.TaggedStruct("Flush", {})
])

const Answer = Schema.Literals(["written", "written late", "written late", "failed", "failed late", "died", "hung"])

const Run = Schema.Struct({
  maxBatchSize: int(1, 3),
  maxBatchBytes: int(0, 3),
  queueCapacity: int(1, 3),
  spare: int(0, 2),
  onWriteFailure: Schema.Literals(["discard", "retain"]),
  observersDie: Schema.Boolean,
  steps: Schema.Array(Step).check(Schema.isMaxLength(40)),
  answers: Schema.Array(Answer).check(Schema.isMaxLength(20))
})

const check = Effect.fnUntraced(function* (run: typeof Run.Type) {
  const maxPending = run.maxBatchSize + run.spare
  const shutdownTimeout = 1_000
  const scope = yield* Scope.make()
  let calls = 0
  let writing = 0
  let failures = 0
  let accepted = 0
  let cutOff = 0
  const ended = new Set<number>()
  const lastWritten = new Map<number, number>()
  // an assertion that fails within a write would be one more failure of the store
  const violations: Array<string> = []

  const end = (update: Update) => {
    for (const number of update.numbers) {
      if (ended.has(number)) violations.push(`${number} ends twice`)
      ended.add(number)
    }
  }

  const receive = (batch: ReadonlyArray<Update>) => {
    batch.forEach(end)
    for (const { key, numbers } of batch) {
      for (const number of numbers) {
        if (number < (lastWritten.get(key) ?? 0)) violations.push(`${number} is written late`)
        lastWritten.set(key, number)
      }
    }
  }

  const observe = (event: () => void) =>
    Effect.andThen(Effect.sync(event), run.observersDie ? Effect.die("a bug in an observer") : Effect.void)

  const answer = (batch: ReadonlyArray<Update>) => {
    switch (run.answers[calls++]) {
      case "written late":
        return Effect.sleep("150 millis")
      case "failed":
        return Effect.fail(new Refused({ forItsData: false }))
      case "failed late":
        return Effect.delay(Effect.fail(new Refused({ forItsData: false })), "150 millis")
      case "died":
        return Effect.die("a bug in the store")
      case "hung":
        return Effect.never
      default:
        return batch.some(({ key }) => key === poisonous) ? Effect.fail(new Refused({ forItsData: true })) : Effect.void
    }
  }

  const batcher = yield* Batcher.make<Map<number, Update>, Update, Refused, never>({
    accumulator: lists,
    maxBatchSize: run.maxBatchSize,
    maxBatchBytes: run.maxBatchBytes,
    queueCapacity: run.queueCapacity,
    maxPending,
    shutdownTimeout,
    interval: "300 millis",
    onWriteFailure: run.onWriteFailure,
    sizeOf: () => 1,
    isRejection: ({ forItsData }) => forItsData,
    write: (batch) =>
      Effect.suspend(() => {
        if (++writing > 1) violations.push("two batches at once")
        if (batch.length > Math.min(run.maxBatchSize, run.maxBatchBytes || 3)) violations.push("too large a batch")
        return answer(batch)
      }).pipe(
        Effect.tap(() => Effect.sync(() => receive(batch))),
        Effect.ensuring(Effect.sync(() => writing--))
      ),
    observer: {
      onTake: () => observe(() => {}),
      onWritten: () => observe(() => {}),
      onFailed: ({ retained, unwritten }) =>
        observe(() => {
          failures++
          if (!retained) unwritten.forEach(end)
        }),
      onRejected: (update) => observe(() => end(update)),
      onClosed: (closed) => observe(() => (cutOff = closed.cutOff))
    }
  }).pipe(Scope.provide(scope))

  let next = 0
  const flush = Effect.gen(function* () {
    const due = next
    const before = failures
    const allAccepted = next === accepted
    yield* batcher.flush
    if (!allAccepted || failures > before || !batcher.isOpenUnsafe()) return
    for (let number = 0; number < due; number++) if (!ended.has(number)) violations.push(`${number} is not flushed`)
  })

  const flushes: Array<Fiber.Fiber<void>> = []
  for (const step of run.steps) {
    if (step._tag === "Add") {
      accepted += step.keys.length - (yield* batcher.add(step.keys.map((key) => ({ key, numbers: [next++] }))))
    } else if (step._tag === "Wait") {
      yield* TestClock.adjust(step.millis)
    } else {
      flushes.push(yield* Effect.forkChild(flush, { startImmediately: true }))
    }
    const { inFlight, pending, queued } = batcher.sizesUnsafe()
    assert.isAtMost(queued, run.queueCapacity)
    assert.isAtMost(pending + inFlight, maxPending)
  }

  const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
  assert.strictEqual(yield* batcher.add([{ key: 0, numbers: [next] }]), 1)
  yield* TestClock.adjust(Duration.millis(shutdownTimeout))
  assert.isDefined(closing.pollUnsafe(), "closing takes too long")
  yield* Fiber.join(closing)
  yield* Effect.forEach(flushes, Fiber.join)
  assert.deepStrictEqual(violations, [])

  const left = accepted - ended.size
  assert.isTrue(left === 0 ? cutOff === 0 : cutOff > 0 && cutOff <= left, `${left} are left, ${cutOff} reported`)
})

describe("Batcher", () => {
  it.effect.prop("keeps what its header says", { run: Run }, ({ run }) => check(run), { arbitrary: { runs: 2000 } })
})
