/** The supervisor of workers, over workers that a test ends as it likes. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Metric, Option, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Batching from "../../src/metadata/MetadataBatcherMetrics.ts"
import * as MetricSeries from "../../src/telemetry/MetricSeries.ts"
import * as WorkerMetrics from "../../src/telemetry/WorkerMetrics.ts"
import * as Supervisor from "../../src/workers/Supervisor.ts"

/** A worker with metrics of its own, which ends when it is killed. */
const makeWorker = Effect.gen(function* () {
  const registry: Metric.MetricRegistry = new Map()
  const ready = yield* Deferred.make<string>()
  const exit = yield* Deferred.make<Supervisor.Exit>()
  const signals: Array<string> = []
  const figures = Effect.map(Effect.context<never>(), (context) => ({
    series: MetricSeries.read(context),
    agents: [{ agent: "a", age: 1, families: [] }]
  })).pipe(Effect.provideService(Metric.MetricRegistry, registry))
  const worker = {
    signals,
    /** Runs when the worker gets SIGTERM. */
    onStop: Effect.void as Effect.Effect<void>,
    /** Whether it sends figures. */
    isAwake: true,
    serve: Deferred.succeed(ready, "http://127.0.0.1:3000"),
    end: (code: number | null, signal: string | null = null) =>
      Deferred.succeed(exit, { code, signal, stopped: Option.none() }),
    stop: (written: number) =>
      Effect.flatMap(figures, (last) =>
        Deferred.succeed(exit, { code: 0, signal: null, stopped: Option.some({ written, figures: last }) })
      ),
    count: <Input, State>(metric: Metric.Metric<Input, State>, input: Input) =>
      Effect.provideService(Metric.update(metric, input), Metric.MetricRegistry, registry)
  }
  const process: Supervisor.WorkerProcess = {
    pid: undefined,
    ready: Deferred.await(ready),
    exit: Deferred.await(exit),
    read: () => Effect.suspend(() => (worker.isAwake ? figures : Effect.never)),
    hasten: Effect.sync(() => void signals.push("hasten")),
    kill: (signal) =>
      Effect.suspend(() => {
        signals.push(signal)
        return signal === "SIGKILL" ? worker.end(null, signal) : worker.onStop
      })
  }
  return { worker, process }
})

type Worker = Effect.Success<typeof makeWorker>["worker"]

/** A supervisor that starts; `next` is the next worker that it forks. */
const start = Effect.fnUntraced(function* (workers: number) {
  const forked = yield* Queue.unbounded<{ readonly number: number; readonly worker: Worker }>()
  const hastened = yield* Deferred.make<void>()
  const scope = yield* Scope.make()
  const fiber = yield* Supervisor.make({
    workers,
    fork: (number) =>
      Effect.map(makeWorker, ({ process, worker }) => {
        Queue.offerUnsafe(forked, { number, worker })
        return process
      }),
    stopTimeout: Duration.seconds(20),
    hastened: Deferred.await(hastened)
  }).pipe(
    Scope.provide(scope),
    Effect.provideService(Metric.MetricRegistry, new Map()),
    Effect.forkScoped({ startImmediately: true })
  )
  return {
    next: Queue.take(forked),
    forks: Queue.size(forked),
    supervisor: Fiber.join(fiber),
    hasten: Deferred.succeed(hastened, undefined),
    close: Scope.close(scope, Exit.void)
  }
})

/** A supervisor with so many workers that serve. */
const running = Effect.fnUntraced(function* (count: number) {
  const { next, supervisor, ...rest } = yield* start(count)
  const workers: Array<Worker> = []
  while (workers.length < count) {
    const { worker } = yield* next
    yield* worker.serve
    workers.push(worker)
  }
  return { ...rest, next, workers, supervisor: yield* supervisor }
})

const sums = (supervisor: Supervisor.Supervisor) =>
  Effect.gen(function* () {
    // reads are collected
    const reading = yield* Effect.forkScoped(supervisor.readAll({ withAgents: false }), { startImmediately: true })
    yield* TestClock.adjust("3 seconds")
    const context = MetricSeries.toContext((yield* Fiber.join(reading)).series)
    return {
      accepted: Batching.acceptedKeys.valueUnsafe(context).count,
      pending: Batching.pendingKeys.valueUnsafe(context).value,
      lost: WorkerMetrics.lostKeys.valueUnsafe(context).count,
      ended: WorkerMetrics.ended.valueUnsafe(context).count
    }
  })

describe("Supervisor", () => {
  it.effect("starts the first worker alone, and the others once it serves [WK-01]", () =>
    Effect.gen(function* () {
      const { forks, next, supervisor } = yield* start(3)

      const first = yield* next
      assert.strictEqual(yield* forks, 0)
      yield* first.worker.serve
      const others = [yield* next, yield* next]

      assert.deepStrictEqual(
        [first, ...others].map(({ number }) => number),
        [1, 2, 3]
      )
      for (const { worker } of others) yield* worker.serve
      assert.strictEqual((yield* supervisor).url, "http://127.0.0.1:3000")
    })
  )

  it.effect("fails when its first worker ends before it serves [WK-02]", () =>
    Effect.gen(function* () {
      const { forks, next, supervisor } = yield* start(3)

      yield* (yield* next).worker.end(1)

      assert.strictEqual(
        (yield* Effect.flip(supervisor)).message,
        "the first worker ended with the exit code 1 before it served: its own last lines say why"
      )
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* forks, 0)
    })
  )

  it.effect("serves although another worker fails at its start, and tries that again [WK-02]", () =>
    Effect.gen(function* () {
      const { next, supervisor } = yield* start(2)
      yield* (yield* next).worker.serve
      yield* (yield* next).worker.end(1)

      yield* supervisor
      yield* TestClock.adjust("100 millis")

      assert.strictEqual((yield* next).number, 2)
    })
  )

  it.effect("replaces a worker after a pause that doubles up to half a minute [WK-03]", () =>
    Effect.gen(function* () {
      const { forks, next, workers } = yield* running(2)
      let worker = workers[1]!

      for (const pause of [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]) {
        yield* worker.end(null, "SIGKILL")
        yield* TestClock.adjust(pause - 1)
        assert.strictEqual(yield* forks, 0, `${pause} ms`)
        yield* TestClock.adjust(1)
        const replacement = yield* next
        assert.strictEqual(replacement.number, 2)
        yield* replacement.worker.serve
        worker = replacement.worker
      }
    })
  )

  it.effect("replaces a worker that had settled at once [WK-03]", () =>
    Effect.gen(function* () {
      const { forks, next, workers } = yield* running(2)
      yield* workers[0]!.end(1)
      yield* TestClock.adjust("100 millis")
      const { worker } = yield* next
      yield* worker.serve
      yield* TestClock.adjust(Supervisor.settledAfter)

      yield* worker.end(1)
      yield* TestClock.adjust("100 millis")

      assert.strictEqual(yield* forks, 1)
    })
  )

  it.effect("gives up when five starts in a row have failed while no worker is up [WK-04]", () =>
    Effect.gen(function* () {
      const { next, supervisor, workers } = yield* running(2)
      for (const worker of workers) yield* worker.end(1)

      const failure = yield* Effect.forkScoped(Effect.flip(supervisor.failure), { startImmediately: true })
      for (let starts = 1; starts <= Supervisor.maxFailedStarts; starts++) {
        assert.isUndefined(failure.pollUnsafe())
        yield* TestClock.adjust("1 second")
        yield* (yield* next).worker.end(7)
      }

      assert.strictEqual(
        (yield* Fiber.join(failure)).message,
        "none of the last 5 workers came up; the last one ended with the exit code 7 before it served: its own last lines say why"
      )
    })
  )

  it.effect("goes on while one worker is up, however often the other fails [WK-04]", () =>
    Effect.gen(function* () {
      const { next, supervisor, workers } = yield* running(2)
      const failure = yield* Effect.forkScoped(Effect.exit(supervisor.failure), { startImmediately: true })

      yield* workers[0]!.end(1)
      for (let starts = 0; starts < 20; starts++) {
        yield* TestClock.adjust("30 seconds")
        yield* (yield* next).worker.end(1)
      }

      assert.isUndefined(failure.pollUnsafe())
    })
  )

  it.effect("sends SIGTERM to every worker, waits for all, and starts none any more [WK-05]", () =>
    Effect.gen(function* () {
      const { close, forks, workers } = yield* running(3)

      const closing = yield* Effect.forkScoped(close, { startImmediately: true })
      assert.deepStrictEqual(
        workers.map(({ signals }) => signals),
        [["SIGTERM"], ["SIGTERM"], ["SIGTERM"]]
      )
      yield* workers[0]!.stop(1)
      yield* workers[1]!.stop(1)
      yield* TestClock.adjust("19 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* workers[2]!.stop(1)
      yield* Fiber.join(closing)

      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* forks, 0)
    })
  )

  it.effect("counts no worker as ended that Ctrl-C reaches shortly before the primary [WK-05]", () =>
    Effect.gen(function* () {
      const { close, supervisor, workers } = yield* running(2)

      yield* workers[0]!.stop(1)
      yield* TestClock.adjust("99 millis")
      const closing = yield* Effect.forkScoped(close, { startImmediately: true })
      yield* workers[1]!.stop(1)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)

      const { series, written } = yield* supervisor.last
      assert.strictEqual(WorkerMetrics.ended.valueUnsafe(MetricSeries.toContext(series)).count, 0)
      assert.strictEqual(written, 2)
    })
  )

  it.effect("kills a worker that takes too long to stop [WK-05]", () =>
    Effect.gen(function* () {
      const { close, workers } = yield* running(2)
      workers[0]!.onStop = Effect.asVoid(workers[0]!.stop(1))

      const closing = yield* Effect.forkScoped(close, { startImmediately: true })
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(closing)

      assert.deepStrictEqual(
        workers.map(({ signals }) => signals),
        [["SIGTERM"], ["SIGTERM", "SIGKILL"]]
      )
    })
  )

  it.effect("passes on that stopping workers shall not wait for their clients [WK-05]", () =>
    Effect.gen(function* () {
      const { close, hasten, workers } = yield* running(2)

      const closing = yield* Effect.forkScoped(close, { startImmediately: true })
      yield* hasten
      yield* TestClock.adjust(0)
      for (const worker of workers) yield* worker.stop(0)
      yield* Fiber.join(closing)

      assert.deepStrictEqual(
        workers.map(({ signals }) => signals),
        [
          ["SIGTERM", "hasten"],
          ["SIGTERM", "hasten"]
        ]
      )
    })
  )

  it.effect("returns the sums of all workers, ended ones included [WK-06]", () =>
    Effect.gen(function* () {
      const { next, supervisor, workers } = yield* running(2)
      yield* workers[0]!.count(Batching.acceptedKeys, 10)
      yield* workers[1]!.count(Batching.acceptedKeys, 5)
      yield* workers[1]!.count(Batching.pendingKeys, 3)
      assert.deepStrictEqual(yield* sums(supervisor), { accepted: 15, pending: 3, lost: 0, ended: 0 })

      yield* workers[1]!.end(null, "SIGKILL")
      assert.deepStrictEqual(yield* sums(supervisor), { accepted: 15, pending: 0, lost: 3, ended: 1 })
      const { worker } = yield* next
      yield* worker.serve
      yield* worker.count(Batching.acceptedKeys, 1)

      assert.deepStrictEqual(yield* sums(supervisor), { accepted: 16, pending: 0, lost: 3, ended: 1 })
    })
  )

  it.effect("counts a worker that sends no figures as it last did [WK-06]", () =>
    Effect.gen(function* () {
      const { supervisor, workers } = yield* running(2)
      yield* workers[0]!.count(Batching.acceptedKeys, 10)
      yield* workers[1]!.count(Batching.acceptedKeys, 5)
      yield* sums(supervisor)

      workers[1]!.isAwake = false
      yield* workers[0]!.count(Batching.acceptedKeys, 1)

      assert.strictEqual((yield* sums(supervisor)).accepted, 16)
    })
  )

  it.effect("adds up what workers wrote and counted at their ends [WK-07]", () =>
    Effect.gen(function* () {
      const { close, supervisor, workers } = yield* running(2)

      const closing = yield* Effect.forkScoped(close, { startImmediately: true })
      for (const worker of workers) {
        yield* worker.count(Batching.flushed, 4)
        yield* worker.stop(2)
      }
      yield* Fiber.join(closing)

      const { series, written } = yield* supervisor.last
      assert.strictEqual(written, 4)
      assert.strictEqual(Batching.flushed.valueUnsafe(MetricSeries.toContext(series)).count, 8)
    })
  )
})
