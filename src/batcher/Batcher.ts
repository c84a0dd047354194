/**
 * An actor that collects updates, merges what can be merged, and writes the rest in batches.
 *
 * Its life:
 *
 * - **open**: updates are accepted into a bounded mailbox and folded into the pending state, where updates of one key
 *   merge. One fiber writes: a full batch at once (`capacity`), whatever there is when the interval has passed since
 *   the last flush ended (`scheduled`), everything when asked to (`manual`).
 * - **draining**, from the moment its scope closes: nothing more is accepted; the write in flight is waited for, then
 *   the mailbox and the pending state are written (`shutdown`).
 * - **closed**, when all is written or `shutdownTimeout` is over, whichever comes first.
 *
 * Its guarantees:
 *
 * - `add` never waits and never fails. What finds no room is dropped, and the caller learns how much that was. An
 *   update that merges into a pending one always finds room.
 * - At most one batch is being written at a time, of at most `maxBatchSize` updates and, where updates have sizes, of at
 *   most `maxBatchBytes` unless a single update is larger.
 * - Memory is bounded: at most `queueCapacity` updates wait in the mailbox, at most `maxPending` are pending or being
 *   written.
 * - A failed write loses its batch (`discard`) or puts it back beneath what arrived since (`retain`); then the next
 *   attempt waits for a pause that grows with each failure, with jitter, up to the interval.
 * - A write that fails because of its data is split until the bad updates stand alone: those are given up, the others
 *   are written.
 * - Closing takes at most `shutdownTimeout`, even if a write refuses to be interrupted.
 * - Every accepted update is written, merged into a later one, or reported to the observer as lost, with the reason.
 */
import {
  Cause,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Latch,
  MutableRef,
  Option,
  Ref,
  Schedule,
  type Scope
} from "effect"
import type { Accumulator, Updates } from "./Accumulator.ts"
import { type Failed, type FlushReason, type Observer, tell } from "./BatcherObserver.ts"
import { resolve, type Settings } from "./BatcherSettings.ts"
import { Mailbox } from "./internal/mailbox.ts"

export type { Failed, FlushReason, Observer, Written } from "./BatcherObserver.ts"
export { InvalidSetting, type OnWriteFailure, type Settings } from "./BatcherSettings.ts"

/** What a batcher is made of; the bounds and times among it have defaults, see {@link Settings}. */
export interface Options<S, A, E, R, U = ReadonlyArray<A>> extends Settings {
  /** How updates merge. */
  readonly accumulator: Accumulator<S, A, U>
  /** Writes a batch. Writing the same updates again must do no harm. May be interrupted when closing takes too long. */
  readonly write: (batch: ReadonlyArray<A>, reason: FlushReason) => Effect.Effect<void, E, R>
  /** Whether a failure is the fault of the data, so that the same batch would fail again. Default: never. */
  readonly isRejection?: ((error: E) => boolean) | undefined
  /** The size of an update, for `maxBatchBytes`. Without it every update fits. */
  readonly sizeOf?: ((update: A) => number) | undefined
  readonly observer?: Observer<A, E> | undefined
}

/** How many updates are where. */
export interface Sizes {
  /** In the mailbox. */
  readonly queued: number
  /** Merged, waiting for their batch. */
  readonly pending: number
  /** Being written. */
  readonly inFlight: number
}

/** Where updates go in, and what can be asked. */
export interface Batcher<A, U = ReadonlyArray<A>> {
  /** Updates that may wait in the mailbox. */
  readonly queueCapacity: number
  /** Accepts updates, in their order, and answers how many were dropped. They must not be changed afterwards. */
  readonly add: (updates: U) => Effect.Effect<number>
  /** `add` for code that is not an effect. */
  readonly addUnsafe: (updates: U) => number
  /**
   * Writes all that has been accepted so far, oldest first as the accumulator has it. Returns when that is written, when
   * an attempt to write it has failed, or when the batcher has closed.
   */
  readonly flush: Effect.Effect<void>
  /** Updates accepted and not yet handed to `write`. */
  readonly pending: Effect.Effect<number>
  readonly sizesUnsafe: () => Sizes
  /** Whether updates are still accepted. */
  readonly isOpenUnsafe: () => boolean
}

/** The first pause after a failed write that put its batch back; it doubles from failure to failure. */
const firstPause = "100 millis"

/**
 * A batcher that lives as long as the scope, and writes with the services of the moment it is made in. Settings that
 * make no sense are a defect, an `InvalidSetting`.
 */
export const make = Effect.fnUntraced(function* <S, A, E, R, U extends Updates<A, U> = ReadonlyArray<A>>(
  options: Options<S, A, E, R, U>
): Effect.fn.Return<Batcher<A, U>, never, R | Scope.Scope> {
  const settings = yield* resolve(options)
  const { maxBatchSize, maxPending } = settings
  const { accumulator, observer = {}, sizeOf = () => 0, write } = options

  const mailbox = yield* Mailbox.make<A, U>(settings.queueCapacity)
  const pending = yield* Ref.make(accumulator.empty())
  const wake = yield* Latch.make(false)
  const closed = yield* Deferred.make<void>()
  const flushRequests: Array<Deferred.Deferred<void>> = []
  let open = true
  const clock = yield* Clock.Clock
  let idleSince = 0n
  let phase: "idle" | "writing" | "resting" = "idle"
  let inFlight = 0
  let written = 0
  let writtenWhileDraining = 0

  const pendingSize = () => accumulator.size(Ref.getUnsafe(pending))

  const addPending = (updates: U, from: number, to: number) => {
    MutableRef.set(pending.ref, accumulator.add(Ref.getUnsafe(pending), updates, from, to))
  }

  /** Folds the mailbox into the pending state until a batch is full; answers whether one is. */
  const fold = (): boolean => {
    for (let room = maxBatchSize - pendingSize(); room > 0; room = maxBatchSize - pendingSize()) {
      if (mailbox.readUnsafe(room, addPending) === 0) return false
    }
    return true
  }

  // ---------------------------------------------------------------------------
  // intake
  // ---------------------------------------------------------------------------

  // opening the latch runs the worker before it returns, so nothing may be half done here
  const wakeIfFull = () => {
    if (phase === "idle" && pendingSize() + mailbox.size >= maxBatchSize && fold()) wake.openUnsafe()
  }

  const isCrowded = () => pendingSize() >= (phase === "writing" ? maxPending - maxBatchSize : maxPending)

  /** Adds an update to the pending state if it merges or finds room beside a batch in flight. */
  const refuses = (update: A, index: number, updates: U): boolean => {
    if (isCrowded() && !accumulator.has(Ref.getUnsafe(pending), update)) return true
    addPending(updates, index, index + 1)
    return false
  }

  // a mailbox that holds only what was refused is not worth another look until there is something new in it, or something
  // put back that it could merge with
  let siftedAt = -1
  const sift = () => {
    if (isCrowded() && mailbox.accepted + mailbox.read === siftedAt) return
    mailbox.siftUnsafe(refuses)
    siftedAt = mailbox.accepted + mailbox.read
  }

  const addCrowded = (updates: U): number => {
    let rest = updates
    for (let accepted = -1; rest.length > 0 && accepted !== 0; rest = rest.slice(accepted)) {
      wakeIfFull()
      if (mailbox.size === mailbox.capacity) sift()
      accepted = mailbox.offerUnsafe(rest)
    }
    const dropped = rest.filter(refuses).length
    wakeIfFull()
    return dropped
  }

  const addUnsafe = (updates: U): number => {
    if (!open) return updates.length
    const accepted = mailbox.offerUnsafe(updates)
    if (accepted < updates.length) return addCrowded(updates.slice(accepted))
    wakeIfFull()
    return 0
  }

  // ---------------------------------------------------------------------------
  // writing
  //
  // No generator and no literal holds a batch while it is written: what they make V8 may come to allocate with the old
  // generation, which would keep the batch until a full collection.
  // ---------------------------------------------------------------------------

  const takeBatch = (): ReadonlyArray<A> => {
    const [batch, rest] = accumulator.take(Ref.getUnsafe(pending), maxBatchSize)
    const fitting = countWithin(settings.maxBatchBytes, batch, sizeOf)
    MutableRef.set(pending.ref, batch.slice(fitting).reduce(accumulator.restore, rest))
    return fitting === batch.length ? batch : batch.slice(0, fitting)
  }

  /** Writes updates, in ever smaller parts while their data is at fault. Answers what another failure leaves unwritten. */
  const writeParts = (
    updates: ReadonlyArray<A>,
    reason: FlushReason
  ): Effect.Effect<Pick<Failed<A, E>, "cause" | "unwritten"> | undefined, never, R> =>
    Effect.flatMap(Effect.exit(Effect.suspend(() => write(updates, reason))), (exit) => {
      if (Exit.isSuccess(exit)) {
        written += updates.length
        inFlight -= updates.length
        if (!open) writtenWhileDraining += updates.length
        return Effect.undefined
      }
      const { cause } = exit
      const error = Cause.findErrorOption(cause)
      if (Option.isNone(error) || options.isRejection?.(error.value) !== true) {
        return Effect.succeed({ unwritten: updates, cause })
      }
      if (updates.length > 1) {
        const [first, second] = [updates.slice(0, updates.length >> 1), updates.slice(updates.length >> 1)]
        return Effect.flatMap(writeParts(first, reason), (failure) =>
          failure === undefined
            ? writeParts(second, reason)
            : Effect.succeed({ ...failure, unwritten: [...failure.unwritten, ...second] })
        )
      }
      inFlight -= 1
      return Effect.as(
        tell(() => observer.onRejected?.(updates[0]!, error.value)),
        undefined
      )
    })

  /** Answers whether to go on writing: not after a failure that put updates back. */
  const flushBatch = (batch: ReadonlyArray<A>, reason: FlushReason): Effect.Effect<boolean, never, R> =>
    tell(() => observer.onTake?.(batch)).pipe(
      Effect.andThen(Effect.timed(writeParts(batch, reason))),
      Effect.tap(([elapsed]) => {
        inFlight = 0
        return written > 0 ? tell(() => observer.onWritten?.({ reason, count: written, elapsed })) : Effect.void
      }),
      Effect.flatMap(([elapsed, failure]) => {
        if (failure === undefined) return Effect.succeed(true)
        const retained = settings.onWriteFailure === "retain"
        if (retained) {
          MutableRef.set(pending.ref, failure.unwritten.reduce(accumulator.restore, Ref.getUnsafe(pending)))
          siftedAt = -1
        }
        return Effect.as(
          tell(() => observer.onFailed?.({ reason, ...failure, retained, elapsed })),
          !retained
        )
      })
    )

  /** Writes the oldest `count` updates, or all if there are fewer, in batches as full as can be. */
  const flushOldest = (count: number, reason: FlushReason): Effect.Effect<boolean, never, R> =>
    Effect.suspend(() => {
      if (count > 0) fold()
      if (count <= 0 || pendingSize() === 0) return Effect.succeed(true)
      const batch = takeBatch()
      inFlight = batch.length
      written = 0
      const left = count - batch.length
      return Effect.flatMap(flushBatch(batch, reason), (goesOn) =>
        goesOn ? flushOldest(left, reason) : Effect.succeed(false)
      )
    })

  // ---------------------------------------------------------------------------
  // the worker
  // ---------------------------------------------------------------------------

  const isDrained = () => !open && mailbox.size === 0 && pendingSize() === 0

  /** What there is to do at once. */
  const dueNow = (): FlushReason | undefined => {
    if (!open) return isDrained() ? undefined : "shutdown"
    if (flushRequests.length > 0) return "manual"
    return fold() ? "capacity" : undefined
  }

  const answerRequests = (count: number) => {
    for (const request of flushRequests.splice(0, count)) Deferred.doneUnsafe(request, Exit.void)
  }

  const pauses = Schedule.min([Schedule.jittered(Schedule.exponential(firstPause)), Schedule.spaced(settings.interval)])
  const newRecovery = Effect.map(Schedule.toStepWithSleep(pauses), (pause) =>
    Effect.ignore(Effect.suspend(() => pause(undefined)))
  )
  // after a failure, what to wait for before the next attempt
  let recovery: Effect.Effect<void> | undefined

  const untilDue = Effect.suspend(() => {
    phase = recovery === undefined ? "idle" : "resting"
    wake.closeUnsafe()
    if (recovery !== undefined) {
      if (flushRequests.length > 0) return Effect.void
      return open ? Effect.raceFirst(wake.await, recovery) : recovery
    }
    if (dueNow() !== undefined || isDrained()) return Effect.void
    idleSince = clock.monotonicTimeNanosUnsafe()
    return wake.await
  })

  // one sleep for many batches: to begin and to end one for each would cost more than all else that a batch costs here
  const ticks = Option.match(Duration.toNanos(settings.interval), {
    onNone: () => Effect.never,
    onSome: (interval) =>
      Effect.forever(
        Effect.suspend(() => {
          const now = clock.monotonicTimeNanosUnsafe()
          const left = (phase === "idle" ? idleSince : now) + interval - now
          if (left > 0n) return Effect.sleep(Duration.nanos(left))
          wake.openUnsafe()
          return Effect.void
        })
      )
  })

  /** Waits for something to do and does it, with all that becomes due meanwhile. Answers whether that was the last. */
  const cycle = Effect.gen(function* () {
    yield* untilDue
    let due: FlushReason | undefined = dueNow() ?? "scheduled"
    while (due !== undefined) {
      phase = "writing"
      const requests = flushRequests.length
      const queued: number = due === "manual" || due === "shutdown" ? mailbox.size : 0
      const healthy: boolean = yield* flushOldest(pendingSize() + queued, due)
      answerRequests(requests)
      recovery = healthy ? undefined : (recovery ?? (yield* newRecovery))
      due = healthy ? dueNow() : undefined
    }
    return isDrained()
  })

  const cycles = cycle.pipe(
    Effect.catchCause((cause) =>
      Effect.gen(function* () {
        yield* Effect.logError("a batcher failed outside of its writes; it goes on", cause)
        inFlight = 0
        answerRequests(flushRequests.length)
        recovery ??= yield* newRecovery
        return isDrained()
      })
    ),
    Effect.repeat({ schedule: Schedule.forever, until: (isLast) => isLast })
  )
  // detached, so that a write that refuses to be interrupted cannot hold up the closing of the scope
  const worker = yield* Effect.forkDetach(Effect.raceFirst(cycles, ticks), { startImmediately: true })

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      open = false
      mailbox.closeUnsafe()
      wake.openUnsafe()
      const drained = yield* Effect.timeoutOption(Fiber.await(worker), settings.shutdownTimeout)
      const cutOff = Option.isSome(drained) ? 0 : inFlight + pendingSize() + mailbox.size
      worker.interruptUnsafe()
      inFlight = 0
      mailbox.siftUnsafe(() => false)
      MutableRef.set(pending.ref, accumulator.empty())
      answerRequests(flushRequests.length)
      yield* Deferred.succeed(closed, undefined)
      yield* tell(() => observer.onClosed?.({ written: writtenWhileDraining, cutOff }))
    })
  )

  return {
    queueCapacity: mailbox.capacity,
    add: (updates) => Effect.sync(() => addUnsafe(updates)),
    addUnsafe,
    flush: Effect.suspend(() => {
      if (!open) return Deferred.await(closed)
      const request = Deferred.makeUnsafe<void>()
      flushRequests.push(request)
      wake.openUnsafe()
      return Deferred.await(request)
    }),
    pending: Effect.sync(() => {
      if (phase === "idle" && fold()) wake.openUnsafe()
      return mailbox.size + pendingSize()
    }),
    sizesUnsafe: () => ({ queued: mailbox.size, pending: pendingSize(), inFlight }),
    isOpenUnsafe: () => open
  }
})

/** How many of the first updates fit into `maxBytes`; one does in any case. */
const countWithin = <A>(maxBytes: number, updates: ReadonlyArray<A>, sizeOf: (update: A) => number): number => {
  if (maxBytes === Number.POSITIVE_INFINITY) return updates.length
  let bytes = 0
  const beyond = updates.findIndex((update, index) => (bytes += sizeOf(update)) > maxBytes && index > 0)
  return beyond === -1 ? updates.length : beyond
}
