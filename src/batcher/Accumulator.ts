/**
 * How a batcher keeps updates until they are written: what merges with what, and in which order they leave.
 *
 * An accumulator is a set of pure rules over a state of its own type. They may change the state in place and answer
 * the same object: a batcher never looks at a state again after handing it in. They must not throw.
 */

/** Updates that came together. An array is such; another kind of them may make each update when it is looked at. */
export interface Updates<A, Self> {
  readonly length: number
  slice(from: number, to?: number): Self
  filter(keep: (update: A, index: number, all: Self) => boolean): Self
}

/** Rules for updates `A` that come as `U`, which is an array unless it is said. */
export interface Accumulator<S, A, U = ReadonlyArray<A>> {
  readonly empty: () => S
  /** How many updates `take` would answer if it were asked for all. */
  readonly size: (state: S) => number
  /** Whether `update` would merge into one that the state already holds, so that adding it makes nothing grow. */
  readonly has: (state: S, update: A) => boolean
  /**
   * Adds the updates from the place `from` to before `to`, one after the other; they arrived after all that the state
   * holds. They are not to be changed, and stay as they are for as long as the state may hold on to them.
   */
  readonly add: (state: S, updates: U, from: number, to: number) => S
  /** Puts back an update that arrived before all that the state holds: it must not win over what came later. */
  readonly restore: (state: S, update: A) => S
  /** Takes the oldest `max` updates, or all if there are fewer. */
  readonly take: (state: S, max: number) => readonly [batch: ReadonlyArray<A>, rest: S]
}

/**
 * Keeps one update per key.
 *
 * @example
 * const viewsByUrl = Accumulator.keyed({
 *   key: (view: { url: string; count: number }) => view.url,
 *   merge: (older, newer) => ({ url: newer.url, count: older.count + newer.count })
 * })
 */
export const keyed = <A, K>(rules: {
  readonly key: (update: A) => K
  /** The one update that stands for both; `newer` arrived later. */
  readonly merge: (older: A, newer: A) => A
}): Accumulator<Map<K, A>, A> => ({
  empty: () => new Map(),
  size: (state) => state.size,
  has: (state, update) => state.has(rules.key(update)),
  add(state, updates, from, to) {
    for (let next = from; next < to; next++) {
      const update = updates[next]!
      const key = rules.key(update)
      const held = state.get(key)
      state.set(key, held === undefined ? update : rules.merge(held, update))
    }
    return state
  },
  restore(state, update) {
    const key = rules.key(update)
    const held = state.get(key)
    return state.set(key, held === undefined ? update : rules.merge(update, held))
  },
  take(state, max) {
    if (state.size <= max) return [[...state.values()], new Map()]
    const batch: Array<A> = []
    for (const [key, update] of state) {
      if (batch.length === max) break
      batch.push(update)
      state.delete(key)
    }
    return [batch, state]
  }
})
