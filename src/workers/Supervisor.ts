/**
 * Keeps a number of workers running.
 *
 * - The first worker starts alone. If it ends before it is ready, so does the service, as one of a single process would.
 * - A worker that ends is replaced after a pause, which doubles with each end and is short again once a worker has lived
 *   for {@link settledAfter}.
 * - When no worker is up and {@link maxFailedStarts} starts in a row have failed, the supervisor gives up.
 * - When the scope closes, every worker gets SIGTERM and is waited for. One that takes longer than `stopTimeout` is killed.
 */
import { Array as Arr, Clock, Data, Deferred, Duration, Effect, Metric, Option } from "effect"
import type { Read } from "../operations/ServiceFigures.ts"
import * as WorkerMetrics from "../telemetry/WorkerMetrics.ts"
import * as WorkerFigures from "./WorkerFigures.ts"

/** How a worker ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: string | null
  /** The entries that it wrote at its end, and its last figures, unless it was killed. */
  readonly stopped: WorkerFigures.Stopped
}

/** A running worker. */
export interface WorkerProcess {
  readonly pid: number | undefined
  /** Returns the address of the worker once it serves, and never if it ends before. */
  readonly ready: Effect.Effect<string>
  readonly exit: Effect.Effect<Exit>
  /** Returns the figures of the worker, and never if it ends before. */
  readonly read: Read
  /** Tells a worker that is stopping not to wait for its clients. */
  readonly hasten: Effect.Effect<void>
  readonly kill: (signal: "SIGTERM" | "SIGKILL") => Effect.Effect<void>
}

export interface Options {
  readonly workers: number
  /** Starts the worker of a number from 1. It may read the figures of all workers. */
  readonly fork: (worker: number, readAll: Read) => Effect.Effect<WorkerProcess>
  readonly stopTimeout: Duration.Duration
  /** Succeeds when stopping workers shall not wait for their clients any longer. */
  readonly hastened: Effect.Effect<void>
}

/** The pause before the first replacement of a worker, and the longest one. */
const pauses = { first: Duration.millis(100), longest: Duration.seconds(30) }

/** The age at which a worker counts as settled. */
export const settledAfter = Duration.minutes(1)

/** The starts in a row that may fail while no worker is up. */
export const maxFailedStarts = 5

/** No worker comes up. */
export class NoWorker extends Data.TaggedError("NoWorker")<{
  readonly worker: number
  readonly exit: Exit
  readonly starts: number
}> {
  override get message() {
    const { code, signal } = this.exit
    const how = signal === null ? `with the exit code ${code}` : `by ${signal}`
    const which =
      this.starts === 1 ? "the first worker" : `none of the last ${this.starts} workers came up; the last one`
    return `${which} ended ${how} before it served: its own last lines say why`
  }
}

export type Supervisor = Effect.Success<ReturnType<typeof make>>

interface Slot {
  process: WorkerProcess | undefined
  isReady: boolean
  /** Is done when the first worker of the slot has served or ended. */
  readonly tried: Deferred.Deferred<void>
}

export const make = Effect.fnUntraced(function* ({ fork, hastened, stopTimeout, workers }: Options) {
  const figures = yield* WorkerFigures.make
  const slots = new Map<number, Slot>()
  const failure = yield* Deferred.make<never, NoWorker>()
  const url = yield* Deferred.make<string, NoWorker>()
  const state = { failedStarts: 0, isStopping: false }

  /** Runs a worker until it ends. Returns how it ended, and whether it had served. */
  const runOnce = Effect.fnUntraced(function* (worker: number, slot: Slot) {
    const process = yield* fork(worker, figures.readAll)
    slot.process = process
    const served = Effect.flatMap(process.ready, (address) => {
      slot.isReady = true
      state.failedStarts = 0
      return Effect.andThen(figures.add(worker, process.read), Deferred.succeed(url, address))
    })
    const early = yield* Effect.raceFirst(Effect.as(served, undefined), process.exit)
    yield* Deferred.succeed(slot.tried, undefined)
    const exit = early ?? (yield* process.exit)
    slot.process = undefined
    slot.isReady = false
    yield* figures.retire(worker, exit.stopped)
    return { exit, hasServed: early === undefined }
  })

  /** Fails with the error of a service that cannot go on, after a worker has ended before it served. */
  const checkStarts = Effect.fnUntraced(function* (worker: number, exit: Exit) {
    state.failedStarts++
    const isFirst = !(yield* Deferred.isDone(url))
    const isAnyUp = [...slots.values()].some(({ isReady }) => isReady)
    if (!isFirst && (isAnyUp || state.failedStarts < maxFailedStarts)) return
    return yield* new NoWorker({ worker, exit, starts: state.failedStarts })
  })

  /** Runs a worker, and another one after each that ends. */
  const keep = (worker: number, slot: Slot) =>
    Effect.gen(function* () {
      let pause = pauses.first
      while (!state.isStopping) {
        const startedAt = yield* Clock.currentTimeMillis
        const { exit, hasServed } = yield* runOnce(worker, slot)
        // Ctrl-C may reach a worker before the primary
        if (Option.isSome(exit.stopped)) yield* Effect.sleep(pauses.first)
        if (state.isStopping) return
        if (!hasServed) yield* checkStarts(worker, exit)
        const age = (yield* Clock.currentTimeMillis) - startedAt
        if (age >= Duration.toMillis(settledAfter)) pause = pauses.first
        yield* Metric.update(WorkerMetrics.ended, 1)
        yield* Effect.logWarning("worker ended").pipe(
          Effect.annotateLogs({ worker, code: exit.code, signal: exit.signal, pause: Duration.format(pause) })
        )
        yield* Effect.sleep(pause)
        pause = Duration.min(Duration.times(pause, 2), pauses.longest)
      }
    }).pipe(
      Effect.catch((error) => Effect.andThen(Deferred.fail(url, error), Deferred.fail(failure, error))),
      Effect.forkScoped
    )

  const stop = Effect.gen(function* () {
    state.isStopping = true
    const running = [...slots].flatMap(([worker, slot]) =>
      slot.process === undefined ? [] : [{ ...slot.process, slot, worker }]
    )
    const each = <A>(effect: (worker: (typeof running)[number]) => Effect.Effect<A>) =>
      Effect.forEach(running, effect, { concurrency: "unbounded", discard: true })
    const ended = each(({ exit, worker }) => Effect.flatMap(exit, ({ stopped }) => figures.retire(worker, stopped)))
    yield* Effect.forkScoped(
      Effect.andThen(
        hastened,
        each(({ hasten }) => hasten)
      ),
      { startImmediately: true }
    )
    yield* each(({ kill }) => kill("SIGTERM"))
    yield* Effect.timeoutOrElse(ended, {
      duration: stopTimeout,
      orElse: () =>
        Effect.logError("workers killed: they took too long to stop").pipe(
          Effect.andThen(each(({ kill, slot }) => (slot.process === undefined ? Effect.void : kill("SIGKILL")))),
          Effect.andThen(ended)
        )
    })
  }).pipe(Effect.scoped)

  const start = Effect.fnUntraced(function* (worker: number) {
    const slot: Slot = { process: undefined, isReady: false, tried: yield* Deferred.make<void>() }
    slots.set(worker, slot)
    yield* keep(worker, slot)
    return slot.tried
  })

  yield* start(1)
  yield* Effect.addFinalizer(() => stop)
  const address = yield* Deferred.await(url)
  const others = yield* Effect.forEach(Arr.range(2, workers), start)
  yield* Effect.forEach(others, (tried) => Deferred.await(tried), { discard: true })
  return {
    /** The address of the service. */
    url: address,
    /** Fails when no worker comes up any more. */
    failure: Deferred.await(failure),
    readAll: figures.readAll,
    last: figures.last
  }
})
