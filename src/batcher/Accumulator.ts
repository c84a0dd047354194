/**
 * How a batcher keeps updates until they are written: which updates merge, and in which order they leave.
 *
 * An accumulator is a set of pure rules over a state of its own type. The rules may change the state in place and return
 * the same object, because a batcher never looks at a state again after handing it in. They should not throw: what is
 * added then is lost, of {@link keyed} the one update for which `key` or `merge` threw.
 */
import { UpdateDefect } from "./internal/updateDefect.ts"

/** Updates that came together: an array, or a type of its own that creates each update on demand. */
export interface Updates<A, Self> {
  /** How many updates there are. */
  readonly length: number
  /** Returns a copy: it must not change when the caller's own array does. */
  slice(from: number, to?: number): Self
  /** Returns the updates that `keep` returns true for, in their order. */
  filter(keep: (update: A, index: number, all: Self) => boolean): Self
  /** Calls `use` with each update, in their order. */
  forEach(use: (update: A) => void): void
}

/** Whether an update may join a batch: `skip` leaves it pending, `stop` leaves it and all after it. */
export type Selection = "take" | "skip" | "stop"

/** Rules for updates `A` that come as `U`, by default an array. */
export interface Accumulator<S, A, U = ReadonlyArray<A>> {
  /** Returns a state without updates. */
  readonly empty: () => S
  /** The number of updates that `take` would return if it were asked for all of them. */
  readonly size: (state: S) => number
  /** Whether `update` would merge into an update of the state, so that adding it makes nothing grow. */
  readonly has: (state: S, update: A) => boolean
  /**
   * The identity of an update: two updates merge if and only if their keys are the same, as in a `Map`. `undefined` if
   * updates never merge; then the rules must not look into updates at all, which must come in arrays.
   */
  readonly keyOf: ((update: A) => unknown) | ([ReadonlyArray<A>] extends [U] ? undefined : never)
  /** Adds the updates from index `from` to before `to`, in their order. They are newer than all that the state holds. */
  readonly add: (state: S, updates: U, from: number, to: number) => S
  /**
   * Puts updates back in front of all that the state holds, in their order. They are older than all that the state holds:
   * where they merge, they come first, and must not win over a newer update.
   */
  readonly restore: (state: S, updates: ReadonlyArray<A>) => S
  /** Takes the oldest updates, at most `max`. Asks `select` about each update in turn; without it each is taken. */
  readonly take: (
    state: S,
    max: number,
    select?: (update: A) => Selection
  ) => readonly [batch: ReadonlyArray<A>, rest: S]
  /** The rules that `maxPendingBytes` needs. */
  readonly sized?: Sized<S, A, U> | undefined
  /** The rules that `maxPendingPerSource` needs. */
  readonly sources?: Sources<S, U> | undefined
}

/** Rules of an accumulator whose updates come from sources. Updates that come together have one source. */
export interface Sources<S, U> {
  /** The source of updates, compared as in a `Map`. */
  readonly of: (updates: U) => unknown
  /** The number of updates of a source in the state. */
  readonly count: (state: S, source: unknown) => number
}

/** Rules of an accumulator that knows the bytes of its updates. */
export interface Sized<S, A, U = ReadonlyArray<A>> {
  /** The bytes of the updates from index `from` to before `to`. */
  readonly bytesOf: (updates: U, from: number, to: number) => number
  /** The bytes of all updates of the state. */
  readonly bytes: (state: S) => number
  /** Takes updates of at least so many bytes, or all, which will not be written. Decides at whose cost. */
  readonly evict: (state: S, bytes: number) => readonly [evicted: ReadonlyArray<A>, rest: S]
}

/** Keys that a `Map` compares by value. */
export type Key = string | number | bigint | boolean | symbol | null | undefined

/**
 * Keeps one update per key, in the order in which the keys first came.
 *
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Accumulator, Batcher } from "metadata-batcher"
 *
 * // of each sensor the highest reading
 * const accumulator = Accumulator.keyed({
 *   key: (reading: { sensor: string; celsius: number }) => reading.sensor,
 *   merge: (older, newer) => (newer.celsius > older.celsius ? newer : older)
 * })
 * const program = Effect.gen(function* () {
 *   const peaks = yield* Batcher.make({ accumulator, write: (batch) => Console.log(batch) })
 *   yield* peaks.add([
 *     { sensor: "hall", celsius: 21 },
 *     { sensor: "hall", celsius: 19 }
 *   ])
 * })
 * await Effect.runPromise(Effect.scoped(program))
 * // Output:
 * // [ { sensor: 'hall', celsius: 21 } ]
 * ```
 */
export const keyed = <A, K extends Key>(rules: {
  /** Updates with equal keys merge. */
  readonly key: (update: A) => K
  /** Returns the one update that stands for both, with their key; `newer` arrived later. */
  readonly merge: (older: A, newer: A) => A
  /**
   * The source of an update, for `maxPendingPerSource`. Updates with equal keys have one source, and so have updates that
   * are added together.
   */
  readonly source?: ((update: A) => unknown) | undefined
}): Accumulator<Map<K, A>, A> => {
  const { source } = rules
  const empty = (): Map<K, A> => (source === undefined ? new Map() : new MapBySource(source))
  return {
    empty,
    size: (state) => state.size,
    has: (state, update) => state.has(rules.key(update)),
    keyOf: rules.key,
    add(state, updates, from, to) {
      let next = from
      try {
        for (; next < to; next++) {
          const update = updates[next]!
          const key = rules.key(update)
          const held = state.get(key)
          state.set(key, held === undefined && !state.has(key) ? update : rules.merge(held as A, update))
        }
      } catch (defect) {
        throw new UpdateDefect(next, defect)
      }
      return state
    },
    restore(state, updates) {
      const restored = empty()
      for (const update of updates) {
        const key = rules.key(update)
        restored.set(key, restored.has(key) ? rules.merge(restored.get(key) as A, update) : update)
      }
      for (const [key, newer] of state) {
        restored.set(key, restored.has(key) ? rules.merge(restored.get(key) as A, newer) : newer)
      }
      return restored
    },
    take(state, max, select) {
      if (state.size <= max && select === undefined) return [[...state.values()], empty()]
      const batch: Array<A> = []
      for (const [key, update] of state) {
        if (batch.length === max) break
        const selection = select === undefined ? "take" : select(update)
        if (selection === "stop") break
        if (selection === "skip") continue
        batch.push(update)
        state.delete(key)
      }
      return [batch, state]
    },
    sources: source && {
      of: ([first]) => first && source(first),
      count: (state, key) => (state instanceof MapBySource ? state.countOf(key) : 0)
    }
  }
}

/** A map that knows how many of its values each source has. */
class MapBySource<K, A> extends Map<K, A> {
  readonly #sourceOf: (update: A) => unknown
  readonly #counts = new Map<unknown, number>()

  constructor(sourceOf: (update: A) => unknown) {
    super()
    this.#sourceOf = sourceOf
  }

  countOf(source: unknown): number {
    return this.#counts.get(source) ?? 0
  }

  override set(key: K, update: A): this {
    if (!this.has(key)) this.#count(update, 1)
    return super.set(key, update)
  }

  override delete(key: K): boolean {
    if (this.has(key)) this.#count(this.get(key) as A, -1)
    return super.delete(key)
  }

  #count(update: A, by: number): void {
    const source = this.#sourceOf(update)
    const count = this.countOf(source) + by
    if (count === 0) this.#counts.delete(source)
    else this.#counts.set(source, count)
  }
}

/** The state of {@link fifo}: a list whose first updates are taken already. */
export interface Fifo<A> {
  /** The list; its first places may be taken already. */
  readonly updates: Array<A>
  /** The place of the oldest update. */
  first: number
}

/**
 * Keeps every update, in the order of arrival: for events, audit logs, and anything else that must not merge.
 *
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Accumulator, Batcher } from "metadata-batcher"
 *
 * const program = Effect.gen(function* () {
 *   const events = yield* Batcher.make({
 *     accumulator: Accumulator.fifo<string>(),
 *     write: (batch) => Console.log(batch.join(", "))
 *   })
 *   yield* events.add(["sign in", "sign out"])
 *   yield* events.add(["sign in"])
 * })
 * await Effect.runPromise(Effect.scoped(program))
 * // Output:
 * // sign in, sign out, sign in
 * ```
 */
export const fifo = <A>(): Accumulator<Fifo<A>, A> => {
  const size = ({ first, updates }: Fifo<A>) => updates.length - first
  const removeTaken = (state: Fifo<A>): Fifo<A> =>
    // the rest is moved once it is the smaller part
    state.first * 2 > state.updates.length ? { updates: state.updates.slice(state.first), first: 0 } : state
  return {
    empty: () => ({ updates: [], first: 0 }),
    size,
    has: () => false,
    keyOf: undefined,
    add(state, updates, from, to) {
      for (let next = from; next < to; next++) state.updates.push(updates[next]!)
      return state
    },
    restore: (state, updates) => ({ updates: [...updates, ...state.updates.slice(state.first)], first: 0 }),
    take(state, max, select) {
      if (select === undefined) {
        const batch = state.updates.slice(state.first, state.first + max)
        // taken updates must not be kept alive
        state.updates.fill(undefined as A, state.first, state.first + batch.length)
        state.first += batch.length
        return [batch, removeTaken(state)]
      }
      const batch: Array<A> = []
      const kept: Array<A> = []
      let next = state.first
      for (; next < state.updates.length && batch.length < max; next++) {
        const update = state.updates[next]!
        const selection = select(update)
        if (selection === "stop") break
        if (selection === "take") batch.push(update)
        else kept.push(update)
      }
      return [batch, { updates: [...kept, ...state.updates.slice(next)], first: 0 }]
    }
  }
}
