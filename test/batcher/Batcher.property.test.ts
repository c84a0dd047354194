/**
 * Random runs of the batcher against a model, over stores and observers of every behaviour. Nothing vanishes, nothing
 * is written twice or out of order, every caller learns the truth about its updates, and every bound holds.
 *
 * 2 000 runs; `BATCHER_MODEL_RUNS=100000 npx vitest run test/batcher/Batcher.property.test.ts` makes more of them, and
 * `BATCHER_MODEL_SEED` repeats those of a seed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, Exit, Fiber, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Accumulator from "../../src/batcher/Accumulator.ts"
import * as Batcher from "../../src/batcher/Batcher.ts"

const runs = Number(process.env.BATCHER_MODEL_RUNS ?? 2_000)
const seed = Number(process.env.BATCHER_MODEL_SEED ?? performance.timeOrigin % 1_000_000_007)

/** Where updates merge, those of a key become one that lists their numbers, so that each can be followed to its end. */
interface Update {
  readonly key: number
  readonly numbers: ReadonlyArray<number>
}

const lists = Accumulator.keyed<Update, number>({
  key: ({ key }) => key,
  merge: (older, newer) => ({ key: newer.key, numbers: [...older.numbers, ...newer.numbers] })
}) as Accumulator.Accumulator<unknown, Update>

const events = Accumulator.fifo<Update>() as Accumulator.Accumulator<unknown, Update>

class Refused extends Data.TaggedError("Refused")<{ readonly forItsData: boolean }> {}

const poisonous = 3

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Keys = Schema.Array(int(0, 3)).check(Schema.isMaxLength(6))

const Step = Schema.Union([
  Schema.TaggedStruct("Add", { keys: Keys, how: Schema.Literals(["add", "add", "tryAdd"]) }),
  Schema.TaggedStruct("Wait", { millis: int(0, 400) }),
  Schema.TaggedStruct("Ask", { keys: Keys, how: Schema.Literals(["offer", "addAndWait", "offerAndWait"]) }),
  Schema.TaggedStruct("Flush", { isForced: Schema.Boolean }),
  Schema.TaggedStruct("Interrupt", {}),
  Schema.TaggedStruct("Pause", {}),
  Schema.TaggedStruct("Resume", {})
])

const Answer = Schema.Literals([
  "written",
  "written late",
  "written late",
  "failed",
  "failed late",
  "died",
  "interrupted",
  "hung"
])

const Run = Schema.Struct({
  merges: Schema.Boolean,
  maxBatchSize: int(1, 3),
  backlog: int(0, 2),
  maxBatchBytes: int(0, 3),
  queueCapacity: int(1, 3),
  spare: int(0, 2),
  concurrency: int(1, 3),
  maxAttempts: int(0, 3),
  maxAge: int(0, 500),
  onWriteFailure: Schema.Literals(["discard", "retain"]),
  observersDie: Schema.Boolean,
  closesNow: Schema.Boolean,
  steps: Schema.Array(Step).check(Schema.isMaxLength(40)),
  answers: Schema.Array(Answer).check(Schema.isMaxLength(20))
})

const shutdownTimeout = 1_000

/** The fates of all updates. */
class Model {
  // an assertion that fails within a write would be one more failure of the store
  readonly violations: Array<string> = []
  readonly #fates = new Map<number, string>()
  readonly #lastWritten = new Map<number, number>()

  end(updates: ReadonlyArray<Update>, fate: string): void {
    for (const number of updates.flatMap(({ numbers }) => numbers)) {
      if (this.#fates.has(number)) this.violations.push(`${number} is ${fate} after it was ${this.#fates.get(number)}`)
      this.#fates.set(number, fate)
    }
  }

  write(batch: ReadonlyArray<Update>): void {
    this.end(batch, "written")
    for (const { key, numbers } of batch) {
      for (const number of numbers) {
        if (number < (this.#lastWritten.get(key) ?? 0)) this.violations.push(`${number} is written late`)
        this.#lastWritten.set(key, number)
      }
    }
  }

  fateOf(number: number): string | undefined {
    return this.#fates.get(number)
  }

  count(fate: string): number {
    return [...this.#fates.values()].filter((each) => each === fate).length
  }
}

const start = Effect.fnUntraced(function* (run: typeof Run.Type, model: Model) {
  const maxBacklogBatchSize = run.maxBatchSize + run.backlog
  const maxPending = Math.max(run.maxBatchSize * run.concurrency, maxBacklogBatchSize) + run.spare
  const largest = Math.min(maxBacklogBatchSize, run.maxBatchBytes || maxBacklogBatchSize)
  const writing = new Map<number, number>()
  let calls = 0

  const observe = (event: () => void) =>
    Effect.andThen(Effect.sync(event), run.observersDie ? Effect.die("a bug in an observer") : Effect.void)

  const answer = (batch: ReadonlyArray<Update>): Effect.Effect<void, Refused> => {
    switch (run.answers[calls++]) {
      case "written late":
        return Effect.sleep("150 millis")
      case "failed":
        return Effect.fail(new Refused({ forItsData: false }))
      case "failed late":
        return Effect.delay(Effect.fail(new Refused({ forItsData: false })), "150 millis")
      case "died":
        return Effect.die("a bug in the store")
      case "interrupted":
        return Effect.interrupt
      case "hung":
        return Effect.never
      default:
        return batch.some(({ key }) => key === poisonous) ? Effect.fail(new Refused({ forItsData: true })) : Effect.void
    }
  }

  const count = (batch: ReadonlyArray<Update>, by: number) => {
    for (const key of new Set(batch.map(({ key }) => key))) {
      const now = (writing.get(key) ?? 0) + by
      if (now > 1) model.violations.push(`two batches with updates of ${key} at once`)
      writing.set(key, now)
    }
  }

  const batcher = yield* Batcher.make<unknown, Update, Refused, never>({
    accumulator: run.merges ? lists : events,
    maxBatchSize: run.maxBatchSize,
    maxBacklogBatchSize,
    maxBatchBytes: run.maxBatchBytes,
    queueCapacity: run.queueCapacity,
    maxPending,
    maxAttempts: run.maxAttempts,
    maxAge: run.maxAge,
    shutdownTimeout,
    interval: "300 millis",
    onWriteFailure: run.onWriteFailure,
    concurrency: run.concurrency,
    partitionBy: run.concurrency > 1 ? ({ key }) => key : undefined,
    sizeOf: () => 1,
    isRejection: ({ forItsData }) => forItsData,
    write: (batch) =>
      Effect.suspend(() => {
        count(batch, 1)
        if (batch.length > largest) model.violations.push(`a batch of ${batch.length}`)
        return answer(batch)
      }).pipe(
        Effect.tap(() => Effect.sync(() => model.write(batch))),
        Effect.ensuring(Effect.sync(() => count(batch, -1)))
      ),
    observer: {
      onTake: () => observe(() => {}),
      onWritten: () => observe(() => {}),
      onFailed: ({ retained, unwritten }) => observe(() => retained || model.end(unwritten, "lost")),
      onRejected: (update) => observe(() => model.end([update], "rejected")),
      onClosed: ({ updates }) => observe(() => model.end(updates, "cut off"))
    }
  })
  return { batcher, maxPending }
})

/** The identity of the accounts, and the bounds. */
const checkAccounts = (batcher: Batcher.Batcher<Update>, run: typeof Run.Type, maxPending: number) => {
  const { accepted, inFlight, lost, merged, pending, queued, written } = batcher.accountingUnsafe()
  const ended = Object.values(lost).reduce((sum, count) => sum + count, written + merged)
  assert.strictEqual(accepted, ended + queued + pending + inFlight, "updates have vanished")
  assert.isAtMost(queued, run.queueCapacity)
  assert.isAtMost(pending + inFlight, maxPending)
  assert.isAtLeast(batcher.saturationUnsafe(), (pending + inFlight) / maxPending)
  assert.isAtMost(batcher.saturationUnsafe(), 1)
}

const check = Effect.fnUntraced(function* (run: typeof Run.Type) {
  const model = new Model()
  const scope = yield* Scope.make()
  const { batcher, maxPending } = yield* Scope.provide(start(run, model), scope)
  let next = 0
  const dropped = new Set<number>()
  const accepted = new Set<number>()
  const updatesOf = (keys: ReadonlyArray<number>) => keys.map((key): Update => ({ key, numbers: [next++] }))
  const numbersOf = (updates: ReadonlyArray<Update>) => updates.flatMap(({ numbers }) => numbers)

  /** Compares the outcome that a caller was told with the fates of its updates. */
  const believe = (
    updates: ReadonlyArray<Update>,
    exit: Exit.Exit<void, Batcher.NotWritten<Update, unknown>>,
    waited: boolean
  ) => {
    if (Exit.isSuccess(exit)) {
      for (const number of numbersOf(updates)) {
        accepted.add(number)
        if (waited && model.fateOf(number) !== "written")
          model.violations.push(`${number} is acknowledged, not written`)
      }
      return
    }
    if (Exit.hasInterrupts(exit)) return
    for (const reason of exit.cause.reasons) {
      if (reason._tag !== "Fail") model.violations.push(`a caller got ${String(exit.cause)}`)
      else {
        const named = numbersOf(reason.error.updates)
        if (reason.error._tag === "Dropped") for (const number of named) dropped.add(number)
        for (const number of named) {
          const fate = model.fateOf(number)
          const expected = { Dropped: undefined, Rejected: "rejected", Lost: fate === "cut off" ? "cut off" : "lost" }
          if (fate !== expected[reason.error._tag] && fate !== undefined) {
            model.violations.push(`${number} is told to be ${reason.error._tag}, and is ${fate}`)
          }
        }
      }
    }
  }

  const ask = (how: "offer" | "addAndWait" | "offerAndWait", updates: ReadonlyArray<Update>) =>
    Effect.onExit(Effect.exit(batcher[how](updates)), (exit) =>
      Effect.sync(() => Exit.isSuccess(exit) && believe(updates, exit.value, how !== "offer"))
    )

  const flush = Effect.fnUntraced(function* (isForced: boolean) {
    const due = [...accepted].filter((number) => model.fateOf(number) === undefined)
    const { outcome } = yield* isForced ? batcher.flushNow : batcher.flush
    if (outcome !== "completed") return
    for (const number of due) if (model.fateOf(number) === undefined) model.violations.push(`${number} is not flushed`)
  })

  const waiting: Array<Fiber.Fiber<unknown>> = []
  for (const step of run.steps) {
    switch (step._tag) {
      case "Add": {
        const updates = updatesOf(step.keys)
        if (step.how === "tryAdd") {
          const added = yield* batcher.tryAdd(updates)
          for (const number of numbersOf(added.dropped)) dropped.add(number)
          for (const number of numbersOf(updates)) if (!dropped.has(number)) accepted.add(number)
        } else if ((yield* batcher.add(updates)) === 0) for (const number of numbersOf(updates)) accepted.add(number)
        break
      }
      case "Ask":
        waiting.push(yield* Effect.forkChild(ask(step.how, updatesOf(step.keys)), { startImmediately: true }))
        break
      case "Flush":
        waiting.push(yield* Effect.forkChild(flush(step.isForced), { startImmediately: true }))
        break
      case "Interrupt":
        if (waiting.length > 0) yield* Fiber.interrupt(waiting.pop()!)
        break
      case "Wait":
        yield* TestClock.adjust(step.millis)
        break
      default:
        yield* step._tag === "Pause" ? batcher.pause : batcher.resume
    }
    checkAccounts(batcher, run, maxPending)
  }

  if (run.closesNow) model.end(yield* batcher.closeNow, "cut off")
  const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
  assert.strictEqual(yield* batcher.add([{ key: 0, numbers: [next] }]), 1)
  yield* TestClock.adjust(Duration.millis(shutdownTimeout))
  assert.isDefined(closing.pollUnsafe(), "closing takes too long")
  yield* Fiber.join(closing)
  yield* TestClock.adjust(0)
  for (const fiber of waiting) assert.isDefined(fiber.pollUnsafe(), "somebody waits for ever")
  checkAccounts(batcher, run, maxPending)

  const { inFlight, pending, queued } = batcher.sizesUnsafe()
  assert.deepStrictEqual([inFlight, pending, queued], [0, 0, 0])
  for (const number of accepted) if (model.fateOf(number) === undefined) model.violations.push(`${number} has vanished`)
  for (const number of dropped) {
    if (model.fateOf(number) !== undefined) model.violations.push(`${number} is dropped, and ${model.fateOf(number)}`)
  }
  assert.strictEqual(model.violations.join("; "), "")
})

describe("Batcher", () => {
  it.effect.prop(`keeps its promises in random runs (seed ${seed})`, { run: Run }, ({ run }) => check(run), {
    arbitrary: { runs, seed },
    timeout: Math.max(60_000, runs * 30)
  })
})
