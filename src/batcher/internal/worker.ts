/**
 * Decides when a batcher writes, and what.
 *
 * - `activity` says what goes on: `idle`, `scheduled` (a write starts in the next turn of the event loop), `writing`,
 *   `backingOff` (after a failed write) or `paused`.
 * - A lane is a fiber that takes batches and writes them, one after the other, until nothing is due. There are at most
 *   `concurrency` lanes, and none while nothing is due: an idle batcher has no fiber.
 * - A job is what one trigger asks for. A flush asks for all that was accepted before it.
 */
import { Context, type Duration, Effect, type Exit, type Fiber, Scheduler } from "effect"
import type { Updates } from "../Accumulator.ts"
import type { Lost } from "../BatcherErrors.ts"
import type { ResolvedSettings } from "../BatcherSettings.ts"
import type { NotWritten } from "./acknowledge.ts"
import type { Backoff } from "./backoff.ts"
import { Batch } from "./batch.ts"
import type { Intake, Signals } from "./intake.ts"
import { type FlushRequest, Job, resultOf } from "./job.ts"
import { type Receipts, settleAll, unwrap } from "./receipts.ts"
import type { Selector } from "./selector.ts"
import { IntervalTimer } from "./intervalTimer.ts"

export type Activity = "idle" | "scheduled" | "writing" | "backingOff" | "paused"

export interface WorkerOptions<S, A, E, R, U extends Updates<A, U>> {
  readonly settings: ResolvedSettings
  readonly context: Context.Context<R>
  readonly makeIntake: (signals: Signals) => Intake<S, A, NotWritten<A, E>, U>
  readonly receipts: Receipts<A, NotWritten<A, E>, U>
  readonly selector: Selector<A>
  readonly backoff: Backoff<E, R>
  readonly write: (batch: Batch<A, E>) => Effect.Effect<void, never, R>
  /** A rule threw. */
  readonly onDefect: (defect: unknown) => void
  /** A rule threw, and what is left of a batch is lost to it. */
  readonly onBatchDefect: (defect: unknown, batch: Batch<A, E>) => void
}

export class Worker<S, A, E, R, U extends Updates<A, U>> implements Signals {
  readonly intake: Intake<S, A, NotWritten<A, E>, U>
  /** The part of `maxPending` that batches in flight take. */
  reserved = 0
  /** The part of `maxPendingBytes` that batches in flight take. */
  reservedBytes = 0
  activity: Activity = "idle"
  /** The fibers that write, and the one that pauses between two attempts. */
  readonly fibers = new Set<Fiber.Fiber<void>>()
  readonly #options: WorkerOptions<S, A, E, R, U>
  readonly #settings: ResolvedSettings
  readonly #runFork: <X>(effect: Effect.Effect<X, never, R>) => Fiber.Fiber<X>
  readonly #dispatcher: Scheduler.SchedulerDispatcher
  readonly #inFlight = new Set<Batch<A, E>>()
  readonly #timer: IntervalTimer<R>
  #running = 0
  #isScheduled = false
  #isPaused = false
  #isTaking = false
  #backoffTimer: Fiber.Fiber<void> | undefined
  #job: Job<E> | undefined
  #requests: Array<FlushRequest<E>> = []
  #isTickDue = false
  /** A full batch was there before the flushes that were asked for since. */
  #isCapacityDue = false
  /** Called when everything is written after the intake has closed. */
  onDrained: (() => void) | undefined

  constructor(options: WorkerOptions<S, A, E, R, U>) {
    this.#options = options
    this.#settings = options.settings
    this.#runFork = Effect.runForkWith(options.context)
    this.#dispatcher = Context.get(options.context, Scheduler.Scheduler).makeDispatcher()
    this.intake = options.makeIntake(this)
    this.#timer = new IntervalTimer(options.settings, options.context, {
      isNeeded: () => this.intake.phase === "open" && (this.intake.size > 0 || this.#running > 0),
      isIdle: () => this.isAvailable,
      onTick: () => {
        this.#isTickDue = true
        this.drive()
      }
    })
  }

  // ---------------------------------------------------------------------------
  // signals of the intake
  // ---------------------------------------------------------------------------

  get isAvailable(): boolean {
    return this.activity === "idle" || (this.activity === "writing" && this.#running < this.#settings.concurrency)
  }

  onHeld(): void {
    this.#timer.start()
  }

  onFull(): void {
    this.#isCapacityDue = true
    this.wake()
  }

  /** Starts to write in the next turn of the event loop, so that no caller runs a write on its own stack. */
  wake(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#updateActivity()
    this.#dispatcher.scheduleTask(() => this.runNow(), 0)
  }

  runNow(): void {
    if (this.#isScheduled && !this.#isTaking) this.drive()
  }

  // ---------------------------------------------------------------------------
  // what others ask for
  // ---------------------------------------------------------------------------

  get inFlight(): number {
    let left = 0
    for (const batch of this.#inFlight) left += batch.left
    return left
  }

  /** Asks for a flush. Returns how to withdraw the request. */
  flush(request: FlushRequest<E>, isForced: boolean): () => void {
    // those who ask during closing learn what it writes
    const requests = this.#job?.reason === "shutdown" ? this.#job.requests : this.#requests
    requests.push(request)
    if (isForced) this.#endBackoff()
    this.wake()
    return () => {
      this.#requests = this.#requests.filter((each) => each !== request)
    }
  }

  /** Starts no write until `resume`; what closing writes is not held up. */
  pause(): void {
    this.#isPaused = this.intake.phase === "open"
    this.#updateActivity()
  }

  resume(): void {
    this.#isPaused = false
    this.wake()
  }

  /** Writes what is left, without regard to pauses. */
  drain(): void {
    this.intake.close()
    this.#isPaused = false
    this.#endBackoff()
    this.drive()
  }

  /** Ends everything. Returns the updates that are not written, oldest first, of which `lost` says what became of them. */
  end(lost: (update: A) => Lost<A, E>): ReadonlyArray<A> {
    this.intake.close()
    this.intake.phase = "closed"
    this.#endBackoff()
    this.#timer.stop()
    // a batch in flight merges with what is pending; the one taken last is the newest
    for (const batch of [...this.#inFlight].toReversed()) {
      this.restore(batch)
      batch.isRevoked = true
    }
    for (const fiber of this.fibers) fiber.interruptUnsafe()
    const left = settleAll(this.#options.receipts, this.#safely(() => this.intake.clear()) ?? [], lost)
    const outcome = left.length === 0 ? "completed" : "closed"
    this.#job?.end(outcome)
    this.#job = undefined
    for (const { resume } of this.#requests.splice(0)) resume(resultOf(outcome))
    this.onDrained?.()
    return left
  }

  // ---------------------------------------------------------------------------
  // lanes
  // ---------------------------------------------------------------------------

  /** Starts as many lanes as there is something to do for. */
  drive(): void {
    this.#isScheduled = false
    while (this.#running < this.#settings.concurrency) {
      const batch = this.#take()
      if (batch === undefined) break
      this.#startLane(batch)
    }
    this.#updateActivity()
    this.#checkDrained()
  }

  #startLane(first: Batch<A, E>): void {
    this.#running++
    this.activity = "writing"
    let current = first
    const lane = (batch: Batch<A, E>): Effect.Effect<void, never, R> =>
      Effect.flatMap(this.#options.write(batch), () => {
        this.#finish(batch)
        const next = this.#take()
        if (this.#settings.concurrency > 1) this.drive()
        if (next === undefined) return Effect.void
        current = next
        return lane(next)
      })
    const fiber = this.#runFork(lane(first))
    this.fibers.add(fiber)
    fiber.addObserver((exit) => {
      this.fibers.delete(fiber)
      this.#onLaneEnd(exit, current)
    })
  }

  #onLaneEnd(exit: Exit.Exit<void>, batch: Batch<A, E>): void {
    this.#running--
    if (exit._tag === "Failure" && this.#inFlight.has(batch) && !batch.isRevoked) {
      // unreachable but for a bug here, or a rule of the accumulator that throws
      this.#options.onBatchDefect(exit.cause, batch)
      this.#finish(batch)
    }
    if (exit._tag === "Failure" || this.#settings.concurrency > 1) this.wake()
    this.#updateActivity()
    this.#checkDrained()
  }

  #finish(batch: Batch<A, E>): void {
    if (!this.#inFlight.delete(batch) || batch.isRevoked) return
    this.reserved -= batch.room
    this.#releaseBytes(batch)
    this.#options.selector.release(batch.partitions)
    // of a job that nobody waits for, nobody asks the cause
    if (this.#job !== undefined) this.#job.cause ??= batch.failure
    if (batch.pause === undefined) this.#options.backoff.reset()
    else this.#backOff(batch, batch.pause)
    this.intake.admitWaiters()
  }

  /** Puts the unwritten updates of a batch back. */
  restore(batch: Batch<A, E>): void {
    const { unwritten } = batch
    const waiting = batch.receipts?.slice(batch.settled)
    this.#releaseBytes(batch)
    this.intake.restore(waiting === undefined ? unwritten : this.#options.receipts.restore(unwritten, waiting))
    batch.settled = batch.updates.length
  }

  /** The bytes of a batch are no longer in flight: it is settled, or put back. */
  #releaseBytes(batch: Batch<A, E>): void {
    this.reservedBytes -= batch.bytes
    batch.bytes = 0
  }

  #backOff(batch: Batch<A, E>, pause: Duration.Duration): void {
    const job = this.#job
    this.#job = undefined
    if (job !== undefined) {
      job.cause = batch.failure
      this.#thaw()
      job.end("failed")
    }
    this.#endBackoff()
    const timer = this.#runFork(
      Effect.flatMap(Effect.sleep(pause), () => {
        this.#backoffTimer = undefined
        this.#isTickDue = true
        this.drive()
        return Effect.void
      })
    )
    // a clock of tests sleeps for no time at once
    if (timer.pollUnsafe() !== undefined) return
    this.#backoffTimer = timer
    this.fibers.add(timer)
    timer.addObserver(() => this.fibers.delete(timer))
  }

  #endBackoff(): void {
    const timer = this.#backoffTimer
    this.#backoffTimer = undefined
    timer?.interruptUnsafe()
  }

  #thaw(): void {
    this.intake.mailbox.unmark()
    this.intake.pending.thaw()
  }

  // ---------------------------------------------------------------------------
  // jobs
  // ---------------------------------------------------------------------------

  #take(): Batch<A, E> | undefined {
    this.#isTaking = true
    const batch = this.#safely(() => this.#takeDue())
    this.#isTaking = false
    // only now, because they might make it take another; without a batch they would ask for one again and again
    if (batch !== undefined) this.intake.admitWaiters()
    return batch
  }

  #takeDue(): Batch<A, E> | undefined {
    const { phase } = this.intake
    if (phase === "closed" || this.#backoffTimer !== undefined || this.#isPaused) return undefined
    for (;;) {
      const job = (this.#job ??= this.#nextJob())
      if (job === undefined) return undefined
      const batch = this.#takeFor(job)
      if (batch !== undefined) return batch
      // a flush waits for all batches in flight, the rest of any job for one of its partition
      if (this.#inFlight.size > 0 && (job.tally !== undefined || (job.left > 0 && this.intake.size > 0)))
        return undefined
      this.#job = undefined
      // the accumulator returns nothing although it has something
      const isStuck = job.reason === "shutdown" ? this.intake.size > 0 : this.intake.pending.frozenSize > 0
      this.#thaw()
      job.end(isStuck ? "failed" : "completed")
      if (job.left > 0 && this.intake.size > 0 && job.reason !== "manual") return undefined
    }
  }

  #nextJob(): Job<E> | undefined {
    const { intake } = this
    const waiting = this.#requests.length
    if (intake.phase === "draining") return intake.size + waiting > 0 ? this.#awaitedJob("shutdown") : undefined
    if (waiting > 0 && !this.#isCapacityDue) {
      intake.mailbox.mark()
      intake.pending.freeze()
      this.#timer.onFlush()
      return this.#awaitedJob("manual")
    }
    const full = intake.fold() ? new Job<E>("capacity", intake.pending.size) : undefined
    if (this.#isCapacityDue) {
      this.#isCapacityDue = false
      return full ?? this.#nextJob()
    }
    if (this.#isTickDue) {
      this.#isTickDue = false
      this.#timer.onFlush()
      return new Job("scheduled", intake.pending.size)
    }
    return full
  }

  /** Returns a job for all requests, which also waits for the batches in flight. */
  #awaitedJob(reason: "manual" | "shutdown"): Job<E> {
    const job = new Job<E>(reason, Number.POSITIVE_INFINITY, this.#requests.splice(0))
    for (const batch of this.#inFlight) batch.tally = job.tally
    return job
  }

  #takeFor(job: Job<E>): Batch<A, E> | undefined {
    const { mailbox, pending } = this.intake
    if (job.left <= 0) return undefined
    this.intake.fold()
    if (pending.size === 0 || (job.reason === "manual" && pending.frozenSize + mailbox.marked === 0)) return undefined
    const { receipts, selector } = this.#options
    const selection = selector.start()
    const bytes = pending.bytes
    const taken = this.#safely(() => pending.take(this.intake.batchSize, selection?.select))
    if (taken === undefined || taken.length === 0) return undefined
    if (this.intake.size === 0) this.#timer.onEmpty()
    const waiting = receipts.take(taken)
    const updates = waiting === undefined ? taken : taken.map(unwrap)
    const batch = new Batch<A, E>(updates, job.reason, waiting, selection?.partitions)
    selector.reserve(batch.partitions)
    job.left -= updates.length
    batch.tally = job.tally
    this.#inFlight.add(batch)
    batch.bytes = bytes - pending.bytes
    this.reservedBytes += batch.bytes
    batch.room = Math.max(updates.length, this.#settings.maxBatchSize)
    this.reserved += batch.room
    return batch
  }

  /** Returns nothing where a rule throws, of which others are told. */
  #safely<X>(use: () => X): X | undefined {
    try {
      return use()
    } catch (defect) {
      this.#options.onDefect(defect)
      return undefined
    }
  }

  #updateActivity(): void {
    const wasIdle = this.activity === "idle"
    if (this.#running > 0) this.activity = "writing"
    else if (this.#isScheduled) this.activity = "scheduled"
    else if (this.#backoffTimer !== undefined) this.activity = "backingOff"
    else this.activity = this.#isPaused ? "paused" : "idle"
    if (this.activity === "idle" && !wasIdle) this.#timer.onIdle()
  }

  #checkDrained(): void {
    const { phase, size } = this.intake
    if (phase === "draining" && size === 0 && this.#running === 0 && this.#inFlight.size === 0) this.onDrained?.()
  }
}
